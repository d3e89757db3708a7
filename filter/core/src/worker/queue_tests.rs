//! The queue against a sink that behaves and one that does not.

use serde_json::Value;

use super::*;
use crate::policy::Delivery;
use crate::record::Kind;

fn audit(queue: usize) -> Audit {
    Audit {
        cluster: "console".into(),
        authority: "console".into(),
        path: "/v1/logs".into(),
        credential: Some(Secret::new("gateway-key".into())),
        delivery: Delivery::Strict,
        capture_request: 0,
        capture_response: 0,
        capture_headers: Vec::new(),
        queue,
        timeout_ms: 1,
    }
}

fn record() -> Record {
    Record::new(Kind::Request, Now(1))
}

fn answer(status: u16) -> CallAnswer {
    CallAnswer {
        status: Some(status),
        ..Default::default()
    }
}

fn sequences(call: &Call) -> Vec<u64> {
    let body: Value = serde_json::from_slice(&call.body).unwrap();
    let records = body["resourceLogs"][0]["scopeLogs"][0]["logRecords"]
        .as_array()
        .unwrap();
    let sequence = |r: &Value| {
        let attributes = r["attributes"].as_array().unwrap();
        let found = attributes
            .iter()
            .find(|a| a["key"] == "countersign.worker.seq")
            .unwrap();
        found["value"]["intValue"]
            .as_str()
            .unwrap()
            .parse()
            .unwrap()
    };
    records.iter().map(sequence).collect()
}

const T: Now = Now(1_000_000_000_000);

#[test]
fn what_arrives_during_a_delivery_makes_the_next_one() {
    let mut queue = Queue::new(&audit(100), "w");
    queue.push(record(), Some(7)).unwrap();
    let first = queue.next_batch(T).unwrap();
    assert_eq!(sequences(&first), [1]);
    assert!(
        first
            .headers
            .contains(&("authorization".into(), "Bearer gateway-key".into()))
    );
    queue.push(record(), None).unwrap();
    queue.push(record(), Some(9)).unwrap();
    assert_eq!(queue.next_batch(T), None, "one delivery at a time");
    assert_eq!(
        queue.on_answer(&answer(200), T),
        Delivered::Acked {
            records: 1,
            wake: vec![7]
        }
    );
    assert_eq!(sequences(&queue.next_batch(T).unwrap()), [2, 3]);
}

#[test]
fn a_failed_delivery_is_sent_again_whole_and_in_order_after_a_growing_pause() {
    let mut queue = Queue::new(&audit(100), "w");
    for _ in 0..3 {
        queue.push(record(), None).unwrap();
    }
    let mut at = T;
    let mut pauses = Vec::new();
    for status in [None, Some(503), Some(429), Some(401)] {
        assert_eq!(sequences(&queue.next_batch(at).unwrap()), [1, 2, 3]);
        let answer = CallAnswer {
            status,
            ..Default::default()
        };
        assert!(matches!(
            queue.on_answer(&answer, at),
            Delivered::Again { .. }
        ));
        assert_eq!(queue.next_batch(at), None);
        let mut pause = 0;
        while queue.in_flight.is_empty() && queue.not_before > at.after_ms(pause) {
            pause += 1;
        }
        pauses.push(pause);
        at = at.after_ms(pause);
    }
    assert_eq!(pauses, [250, 500, 1000, 2000]);
    queue.next_batch(at).unwrap();
    assert!(matches!(
        queue.on_answer(&answer(200), at),
        Delivered::Acked { records: 3, .. }
    ));
    assert_eq!(queue.bytes, 0);
}

#[test]
fn a_record_that_the_sink_calls_malformed_takes_only_itself_along() {
    let mut queue = Queue::new(&audit(100), "w");
    for waiter in [1, 2, 3] {
        queue.push(record(), Some(waiter)).unwrap();
    }
    queue.next_batch(T).unwrap();
    assert!(matches!(
        queue.on_answer(&answer(400), T),
        Delivered::Again { .. }
    ));
    assert_eq!(sequences(&queue.next_batch(T).unwrap()), [1]);
    assert!(matches!(
        queue.on_answer(&answer(200), T),
        Delivered::Acked { .. }
    ));
    assert_eq!(sequences(&queue.next_batch(T).unwrap()), [2]);
    let refused = queue.on_answer(&answer(400), T);
    assert!(
        matches!(refused, Delivered::Refused { ref wake, .. } if *wake == [2]),
        "{refused:?}"
    );
    assert_eq!(sequences(&queue.next_batch(T).unwrap()), [3]);
    assert!(matches!(
        queue.on_answer(&answer(200), T),
        Delivered::Acked { .. }
    ));
    assert_eq!(queue.take_dropped(), 1);
    assert_eq!(queue.take_dropped(), 0);
}

#[test]
fn partial_success_is_no_success_for_those_who_wait() {
    let mut queue = Queue::new(&audit(100), "w");
    queue.push(record(), Some(5)).unwrap();
    queue.next_batch(T).unwrap();
    let body = br#"{"partialSuccess":{"rejectedLogRecords":"1","errorMessage":"no"}}"#.to_vec();
    let partial = CallAnswer {
        status: Some(200),
        body,
        ..Default::default()
    };
    assert!(
        matches!(queue.on_answer(&partial, T), Delivered::Refused { ref wake, .. } if *wake == [5])
    );
}

#[test]
fn a_full_queue_refuses_counts_and_leaves_a_gap() {
    let mut queue = Queue::new(&audit(2), "w");
    queue.push(record(), None).unwrap();
    queue.push(record(), None).unwrap();
    assert_eq!(queue.push(record(), None), Err(Refusal));
    assert_eq!(queue.take_dropped(), 1);
    queue.next_batch(T).unwrap();
    queue.on_answer(&answer(200), T);
    queue.push(record(), None).unwrap();
    let next = queue.next_batch(T).unwrap();
    assert_eq!(
        sequences(&next),
        [4],
        "number 3 was used up by the record that was lost"
    );
    assert!(
        String::from_utf8(next.body)
            .unwrap()
            .contains("countersign.worker.dropped")
    );
}

#[test]
fn a_worker_tells_its_policy_before_anything_else_and_once() {
    let document = crate::config::testing::document();
    let policy = crate::config::compile(&document, &|_| Some("secret-value".to_owned())).unwrap();
    let mut worker = crate::worker::Worker::new(std::rc::Rc::new(policy), "w".to_owned());
    for stream in [1, 2] {
        worker.submit(record(), Some(stream)).unwrap();
    }
    let effects = worker.poll(T);
    let delivery = effects.iter().find_map(|effect| match effect {
        crate::worker::WorkerEffect::Call(crate::worker::Purpose::Records, call) => Some(call),
        _ => None,
    });
    let call = delivery.unwrap();
    assert_eq!(sequences(call), [1, 2, 3]);
    let batch: Value = serde_json::from_slice(&call.body).unwrap();
    let records = &batch["resourceLogs"][0]["scopeLogs"][0]["logRecords"];
    let events: Vec<&str> = (0..3)
        .map(|n| records[n]["eventName"].as_str().unwrap())
        .collect();
    assert_eq!(
        events,
        [
            "countersign.policy",
            "countersign.request",
            "countersign.request"
        ]
    );
    let attribute = |key: &str| {
        let all = records[0]["attributes"].as_array().unwrap();
        let found = all.iter().find(|a| a["key"] == key).unwrap();
        found["value"]["stringValue"].as_str().unwrap().to_owned()
    };
    let told = attribute("countersign.policy.document");
    use sha2::Digest as _;
    let digest = crate::hex(&sha2::Sha256::digest(told.as_bytes()));
    assert_eq!(
        digest,
        attribute("countersign.policy.digest"),
        "anybody can check it"
    );
    assert_eq!(
        serde_json::from_str::<Value>(&told).unwrap()["default"],
        "allow"
    );
    assert!(!told.contains("secret-value"));
}

#[test]
fn a_stream_that_has_gone_is_not_woken() {
    let mut queue = Queue::new(&audit(10), "w");
    queue.push(record(), Some(5)).unwrap();
    queue.next_batch(T).unwrap();
    queue.forget(5);
    assert_eq!(
        queue.on_answer(&answer(200), T),
        Delivered::Acked {
            records: 1,
            wake: vec![]
        }
    );
}

#[test]
fn only_a_waiting_request_or_a_full_batch_is_urgent() {
    let mut queue = Queue::new(&audit(1000), "w");
    queue.push(record(), None).unwrap();
    assert!(!queue.is_urgent());
    queue.push(record(), Some(7)).unwrap();
    assert!(queue.is_urgent());
    assert_eq!(sequences(&queue.next_batch(T).unwrap()), [1, 2]);
    queue.push(record(), Some(8)).unwrap();
    assert!(!queue.is_urgent(), "one delivery at a time");
    queue.on_answer(&answer(200), T);
    assert!(queue.is_urgent(), "a request waits");
    queue.next_batch(T).unwrap();
    queue.on_answer(&answer(200), T);
    for _ in 0..BATCH_RECORDS {
        assert!(!queue.is_urgent());
        queue.push(record(), None).unwrap();
    }
    assert!(queue.is_urgent(), "a batch is full");
}

#[test]
fn an_answer_that_is_not_the_sinks_is_no_acknowledgement() {
    for garbage in [
        "<html>captive portal</html>",
        "[]",
        "OK",
        r#"{"partialSuccess":"yes"}"#,
        r#"{"partialSuccess":{"rejectedLogRecords":"some"}}"#,
        r#"{"partialSuccess":{"rejectedLogRecords":-1}}"#,
        r#"{"partialSuccess":"#,
    ] {
        let mut queue = Queue::new(&audit(10), "w");
        queue.push(record(), Some(5)).unwrap();
        let first = queue.next_batch(T).unwrap();
        let mut other = answer(200);
        other.body = garbage.as_bytes().to_vec();
        let meaning = queue.on_answer(&other, T);
        assert!(matches!(meaning, Delivered::Again { .. }), "{garbage}");
        assert_eq!(queue.next_batch(T), None, "{garbage}: not before the pause");
        let again = queue.next_batch(T.after_ms(60_000)).unwrap();
        assert_eq!(sequences(&again), sequences(&first), "{garbage}");
        for good in [
            "",
            " \n",
            "{}",
            r#"{"partialSuccess":{}}"#,
            r#"{"partialSuccess":null}"#,
        ] {
            let mut queue = Queue::new(&audit(10), "w");
            queue.push(record(), Some(5)).unwrap();
            queue.next_batch(T).unwrap();
            other.body = good.as_bytes().to_vec();
            let meaning = queue.on_answer(&other, T);
            assert!(matches!(meaning, Delivered::Acked { .. }), "{good}");
        }
    }
}

#[test]
fn a_worker_that_takes_a_place_tells_at_once_whose() {
    let document = crate::config::testing::document();
    let policy = crate::config::compile(&document, &|_| Some("secret-value".to_owned())).unwrap();
    let mut worker = crate::worker::Worker::new(std::rc::Rc::new(policy), "w2".to_owned());
    worker.replaces("w1", T);
    assert!(worker.take_wanted());
    worker.submit(record(), None).unwrap();
    let effects = worker.poll(T);
    let call = effects.iter().find_map(|effect| match effect {
        crate::worker::WorkerEffect::Call(crate::worker::Purpose::Records, call) => Some(call),
        _ => None,
    });
    let call = call.unwrap();
    assert_eq!(sequences(call), [1, 2], "the policy, once, and the record");
    let batch: Value = serde_json::from_slice(&call.body).unwrap();
    let first = &batch["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0];
    assert_eq!(first["eventName"], "countersign.policy");
    let attributes = first["attributes"].as_array().unwrap();
    let replaces = attributes
        .iter()
        .find(|a| a["key"] == "countersign.policy.replaces");
    assert_eq!(replaces.unwrap()["value"]["stringValue"], "w1");
}
