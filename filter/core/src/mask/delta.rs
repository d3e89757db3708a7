//! What the events of model APIs carry: which strings of an event continue which text, and which
//! texts an event ends.
//!
//! Shapes: OpenAI chat completions and completions, the responses API, Anthropic messages. An
//! event of another shape continues nothing; its strings are searched each on its own.

use serde::Deserialize;
use serde_json::value::RawValue;

/// One text that is spread over events.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Key {
    Chat { choice: u32, field: ChatField },
    Completion { choice: u32 },
    Message { index: u32, field: MessageField },
    Response { event: String, place: Place },
}

/// The texts of one choice of a chat completion.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ChatField {
    Named(&'static str),
    FunctionCall,
    ToolArguments(u32),
    ToolInput(u32),
}

/// The texts of one content block of an Anthropic message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum MessageField {
    Text,
    PartialJson,
    Thinking,
}

/// Where in a response of the responses API a text stands; raw JSON values.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub(super) struct Place {
    item: Option<String>,
    output: Option<String>,
    content: Option<String>,
    summary: Option<String>,
}

impl Place {
    /// Whether `self`, the place an event ends, holds `other`.
    fn holds(&self, other: &Self) -> bool {
        let fits = |a: &Option<String>, b: &Option<String>| a.is_none() || b.is_none() || a == b;
        fits(&self.item, &other.item)
            && fits(&self.output, &other.output)
            && fits(&self.content, &other.content)
            && fits(&self.summary, &other.summary)
    }
}

/// The inside of one string of the event's data.
#[derive(Debug)]
pub(super) struct Slot {
    pub key: Key,
    pub start: usize,
    pub end: usize,
}

/// Texts that an event ends.
#[derive(Debug)]
pub(super) enum End {
    All,
    Choice(u32),
    Block(u32),
    Place(Place),
}

impl End {
    pub(super) fn covers(&self, key: &Key) -> bool {
        match (self, key) {
            (Self::All, _) => true,
            (Self::Choice(ended), Key::Chat { choice, .. } | Key::Completion { choice }) => {
                ended == choice
            }
            (Self::Block(ended), Key::Message { index, .. }) => ended == index,
            (Self::Place(ended), Key::Response { place, .. }) => ended.holds(place),
            _ => false,
        }
    }
}

/// What one event does to the texts.
#[derive(Default, Debug)]
pub(super) struct Plan {
    /// In the order of the data.
    pub slots: Vec<Slot>,
    pub ends: Vec<End>,
    /// Members that events of this stream repeat (`"id":…,"model":…`), raw, each with its comma.
    pub envelope: Vec<u8>,
}

type Raw<'a> = Option<&'a RawValue>;

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow, rename = "type")]
    kind: Raw<'a>,
    #[serde(borrow)]
    choices: Option<Vec<Choice<'a>>>,
    #[serde(borrow)]
    delta: Raw<'a>,
    #[serde(borrow)]
    index: Raw<'a>,
    #[serde(borrow)]
    item_id: Raw<'a>,
    #[serde(borrow)]
    output_index: Raw<'a>,
    #[serde(borrow)]
    content_index: Raw<'a>,
    #[serde(borrow)]
    summary_index: Raw<'a>,
    #[serde(borrow)]
    id: Raw<'a>,
    #[serde(borrow)]
    object: Raw<'a>,
    #[serde(borrow)]
    created: Raw<'a>,
    #[serde(borrow)]
    model: Raw<'a>,
    #[serde(borrow)]
    system_fingerprint: Raw<'a>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(borrow)]
    index: Raw<'a>,
    #[serde(borrow)]
    delta: Raw<'a>,
    #[serde(borrow)]
    text: Raw<'a>,
    #[serde(borrow)]
    finish_reason: Raw<'a>,
}

#[derive(Deserialize)]
struct ChatDelta<'a> {
    #[serde(borrow)]
    content: Raw<'a>,
    #[serde(borrow)]
    reasoning_content: Raw<'a>,
    #[serde(borrow)]
    reasoning_text: Raw<'a>,
    #[serde(borrow)]
    reasoning: Raw<'a>,
    #[serde(borrow)]
    refusal: Raw<'a>,
    #[serde(borrow)]
    function_call: Option<Call<'a>>,
    #[serde(borrow)]
    tool_calls: Option<Vec<ToolCall<'a>>>,
}

#[derive(Deserialize)]
struct ToolCall<'a> {
    #[serde(borrow)]
    index: Raw<'a>,
    #[serde(borrow)]
    function: Option<Call<'a>>,
    #[serde(borrow)]
    custom: Option<Call<'a>>,
}

#[derive(Deserialize)]
struct Call<'a> {
    #[serde(borrow)]
    arguments: Raw<'a>,
    #[serde(borrow)]
    input: Raw<'a>,
}

#[derive(Deserialize)]
struct MessageDelta<'a> {
    #[serde(borrow)]
    text: Raw<'a>,
    #[serde(borrow)]
    partial_json: Raw<'a>,
    #[serde(borrow)]
    thinking: Raw<'a>,
}

/// Reads the data of one event. Data of no known shape gives an empty plan.
pub(super) fn plan(data: &[u8]) -> Plan {
    let mut plan = Plan::default();
    let Ok(event) = serde_json::from_slice::<Event<'_>>(data) else {
        return plan;
    };
    if let Some(choices) = &event.choices {
        for choice in choices {
            chat_choice(data, choice, &mut plan);
        }
        envelope(&event, &mut plan.envelope);
    } else if let Some(kind) = event.kind.and_then(text_of) {
        match kind {
            "content_block_delta" => message_delta(data, &event, &mut plan),
            "content_block_stop" => plan.ends.push(End::Block(number(event.index))),
            "message_delta" | "message_stop" | "error" => plan.ends.push(End::All),
            "response.completed" | "response.failed" | "response.incomplete" => {
                plan.ends.push(End::All);
            }
            _ if kind.starts_with("response.") => {
                if kind.ends_with(".delta") {
                    let key = || Key::Response {
                        event: kind.to_owned(),
                        place: place(&event),
                    };
                    slot(data, event.delta, key, &mut plan);
                } else if kind.ends_with(".done") {
                    plan.ends.push(End::Place(place(&event)));
                }
            }
            _ => {}
        }
    }
    plan.slots.sort_by_key(|slot| slot.start);
    plan
}

fn chat_choice(data: &[u8], choice: &Choice<'_>, plan: &mut Plan) {
    let index = number(choice.index);
    if choice.finish_reason.is_some() {
        plan.ends.push(End::Choice(index));
    }
    slot(
        data,
        choice.text,
        || Key::Completion { choice: index },
        plan,
    );
    let delta = choice
        .delta
        .and_then(|raw| serde_json::from_str::<ChatDelta<'_>>(raw.get()).ok());
    let Some(delta) = delta else {
        return;
    };
    let chat = |field| {
        move || Key::Chat {
            choice: index,
            field,
        }
    };
    for (name, value) in [
        ("content", delta.content),
        ("reasoning_content", delta.reasoning_content),
        ("reasoning_text", delta.reasoning_text),
        ("reasoning", delta.reasoning),
        ("refusal", delta.refusal),
    ] {
        slot(data, value, chat(ChatField::Named(name)), plan);
    }
    if let Some(call) = &delta.function_call {
        slot(data, call.arguments, chat(ChatField::FunctionCall), plan);
    }
    for call in delta.tool_calls.iter().flatten() {
        let tool = number(call.index);
        if let Some(function) = &call.function {
            slot(
                data,
                function.arguments,
                chat(ChatField::ToolArguments(tool)),
                plan,
            );
        }
        if let Some(custom) = &call.custom {
            slot(data, custom.input, chat(ChatField::ToolInput(tool)), plan);
        }
    }
}

fn message_delta(data: &[u8], event: &Event<'_>, plan: &mut Plan) {
    let delta = event
        .delta
        .and_then(|raw| serde_json::from_str::<MessageDelta<'_>>(raw.get()).ok());
    let Some(delta) = delta else {
        return;
    };
    let index = number(event.index);
    for (field, value) in [
        (MessageField::Text, delta.text),
        (MessageField::PartialJson, delta.partial_json),
        (MessageField::Thinking, delta.thinking),
    ] {
        slot(data, value, || Key::Message { index, field }, plan);
    }
}

/// Adds a string of the data to the plan. The value borrows from `data`, so its address tells its
/// place.
fn slot(data: &[u8], value: Raw<'_>, key: impl FnOnce() -> Key, plan: &mut Plan) {
    let Some(raw) = value.map(RawValue::get).filter(|raw| raw.starts_with('"')) else {
        return;
    };
    let offset = raw.as_ptr().addr().checked_sub(data.as_ptr().addr());
    let Some(start) = offset.filter(|start| start + raw.len() <= data.len()) else {
        return;
    };
    plan.slots.push(Slot {
        key: key(),
        start: start + 1,
        end: start + raw.len() - 1,
    });
}

fn text_of(raw: &RawValue) -> Option<&str> {
    raw.get().strip_prefix('"')?.strip_suffix('"')
}

fn number(raw: Raw<'_>) -> u32 {
    raw.and_then(|raw| raw.get().parse().ok()).unwrap_or(0)
}

fn place(event: &Event<'_>) -> Place {
    let copy = |raw: Raw<'_>| raw.map(|raw| raw.get().to_owned());
    Place {
        item: copy(event.item_id),
        output: copy(event.output_index),
        content: copy(event.content_index),
        summary: copy(event.summary_index),
    }
}

fn envelope(event: &Event<'_>, out: &mut Vec<u8>) {
    for (name, value) in [
        ("id", event.id),
        ("object", event.object),
        ("created", event.created),
        ("model", event.model),
        ("system_fingerprint", event.system_fingerprint),
    ] {
        if let Some(value) = value {
            out.extend_from_slice(format!("\"{name}\":{},", value.get()).as_bytes());
        }
    }
}

impl Key {
    /// What a record calls it.
    pub(super) fn place(&self) -> String {
        match self {
            Self::Chat { choice, field } => match field {
                ChatField::Named(name) => format!("choices/{choice}/{name}"),
                ChatField::FunctionCall => format!("choices/{choice}/function_call"),
                ChatField::ToolArguments(tool) => {
                    format!("choices/{choice}/tool_calls/{tool}/arguments")
                }
                ChatField::ToolInput(tool) => format!("choices/{choice}/tool_calls/{tool}/input"),
            },
            Self::Completion { choice } => format!("choices/{choice}/text"),
            Self::Message { index, field } => {
                let field = match field {
                    MessageField::Text => "text",
                    MessageField::PartialJson => "partial_json",
                    MessageField::Thinking => "thinking",
                };
                format!("content/{index}/{field}")
            }
            Self::Response { event, place } => match &place.output {
                Some(output) => format!("output/{output}/{event}"),
                None => event.clone(),
            },
        }
    }

    /// The event name and data that carry `text`, already escaped, as one more delta.
    pub(super) fn event(&self, envelope: &[u8], text: &[u8]) -> (Option<&str>, Vec<u8>) {
        let (name, before, after) = match self {
            Self::Chat { choice, field } => {
                let (open, close) = match field {
                    ChatField::Named(name) => (format!("\"{name}\":\""), "\""),
                    ChatField::FunctionCall => {
                        ("\"function_call\":{\"arguments\":\"".into(), "\"}")
                    }
                    ChatField::ToolArguments(tool) => (
                        format!(
                            "\"tool_calls\":[{{\"index\":{tool},\"function\":{{\"arguments\":\""
                        ),
                        "\"}}]",
                    ),
                    ChatField::ToolInput(tool) => (
                        format!("\"tool_calls\":[{{\"index\":{tool},\"custom\":{{\"input\":\""),
                        "\"}}]",
                    ),
                };
                (
                    None,
                    format!("\"choices\":[{{\"index\":{choice},\"delta\":{{{open}"),
                    format!("{close}}},\"finish_reason\":null}}]}}"),
                )
            }
            Self::Completion { choice } => (
                None,
                format!("\"choices\":[{{\"index\":{choice},\"text\":\""),
                "\",\"logprobs\":null,\"finish_reason\":null}]}".into(),
            ),
            Self::Message { index, field } => {
                let (kind, member) = match field {
                    MessageField::Text => ("text_delta", "text"),
                    MessageField::PartialJson => ("input_json_delta", "partial_json"),
                    MessageField::Thinking => ("thinking_delta", "thinking"),
                };
                (
                    Some("content_block_delta"),
                    format!(
                        "\"type\":\"content_block_delta\",\"index\":{index},\
                         \"delta\":{{\"type\":\"{kind}\",\"{member}\":\""
                    ),
                    "\"}}".into(),
                )
            }
            Self::Response { event, place } => {
                let mut members = format!("\"type\":\"{event}\",");
                for (name, value) in [
                    ("item_id", &place.item),
                    ("output_index", &place.output),
                    ("content_index", &place.content),
                    ("summary_index", &place.summary),
                ] {
                    if let Some(value) = value {
                        members.push_str(&format!("\"{name}\":{value},"));
                    }
                }
                (
                    Some(event.as_str()),
                    format!("{members}\"delta\":\""),
                    "\"}".into(),
                )
            }
        };
        let mut data = b"{".to_vec();
        if matches!(self, Self::Chat { .. } | Self::Completion { .. }) {
            data.extend_from_slice(envelope);
        }
        data.extend_from_slice(before.as_bytes());
        data.extend_from_slice(text);
        data.extend_from_slice(after.as_bytes());
        (name, data)
    }
}
