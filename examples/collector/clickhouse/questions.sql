-- The questions of an auditor, on ClickHouse. A resend may be there twice: count different exchanges.

-- Who was refused what, and by which rule?
SELECT user, rule, operations, uniqExact(exchange) AS times, max(Timestamp) AS last
FROM countersign.records
WHERE decision IN ('denied', 'held_refused', 'undecided_denied') AND EventName = 'countersign.outcome'
GROUP BY user, rule, operations ORDER BY times DESC LIMIT 50;

-- Which exchanges had these words in their prompt?
SELECT Timestamp, user, exchange, LogAttributes['url.full'] AS url
FROM countersign.records
WHERE hasToken(LogAttributes['countersign.request.body'], 'drop') AND EventName = 'countersign.request'
ORDER BY Timestamp DESC LIMIT 100;

-- What happened in one session?
SELECT Timestamp, EventName, operations, decision, status
FROM countersign.records WHERE session = {session:String} ORDER BY Timestamp;

-- Who agreed to what?
SELECT Timestamp, user, operations, LogAttributes['countersign.approval.by'] AS by
FROM countersign.records WHERE decision = 'held_approved' AND EventName = 'countersign.outcome' ORDER BY Timestamp DESC;

-- Which numbers of which worker never came?
SELECT worker, max(seq) - uniqExact(seq) AS missing, max(toUInt64OrZero(LogAttributes['countersign.worker.dropped'])) AS dropped
FROM countersign.records GROUP BY worker HAVING missing > 0;

-- Which exchanges never got an outcome?
SELECT exchange, any(user), min(Timestamp)
FROM countersign.records GROUP BY exchange HAVING countIf(EventName = 'countersign.outcome') = 0;
