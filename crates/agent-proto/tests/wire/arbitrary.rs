//! Random values of any message, made from its descriptor.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use prost_reflect::{
    DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, ReflectMessage, Value,
};

/// Which numbers an enum field takes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Enums {
    /// Those that have a name: JSON has no form for others.
    Defined,
    /// Others as well, as a newer peer may send them: they must survive.
    Any,
}

/// Fields that livekit/protocol has and livekit-protocol 0.8.2 does not: it can neither read nor write them.
/// A test notices when it can. The second is in PyPI's livekit-protocol 1.1.29.
pub(crate) const NEWER: [&str; 3] = [
    "livekit.ParticipantUpdate.full_snapshot",
    "livekit.MigrateJobRequest.jobs",
    "livekit.UpdateJobStatus.join_timing",
];

/// Messages that it does not have at all.
pub(crate) const NEWER_MESSAGES: [&str; 1] = ["livekit.JobJoinTiming"];

/// How deep messages nest in a random value: below, they are empty. Each message is the root of a test of its
/// own.
const DEPTH: u32 = 3;
/// The most entries of a list or a map.
const ENTRIES: usize = 2;

/// A strategy over all values of a message.
pub(crate) fn message(descriptor: &MessageDescriptor, enums: Enums) -> BoxedStrategy<Sample> {
    to_depth(descriptor, enums, DEPTH).prop_map(Sample).boxed()
}

/// A message whose `Debug` shows its fields, without its descriptor.
#[derive(Clone, PartialEq)]
pub(crate) struct Sample(pub(crate) DynamicMessage);

impl std::fmt::Debug for Sample {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {{ {} }}", self.0.descriptor().full_name(), self.0)
    }
}

fn to_depth(descriptor: &MessageDescriptor, enums: Enums, depth: u32) -> BoxedStrategy<DynamicMessage> {
    let empty = DynamicMessage::new(descriptor.clone());
    if depth == 0 {
        return Just(empty).boxed();
    }
    let mut parts: Vec<BoxedStrategy<Option<(FieldDescriptor, Value)>>> = Vec::new();
    for field in fields(descriptor).filter(|f| real_oneof(f).is_none()) {
        parts.push(proptest::option::weighted(0.8, set(field, enums, depth)).boxed());
    }
    for oneof in descriptor.oneofs().filter(|o| !o.is_synthetic()) {
        let arms = oneof.fields().map(|f| set(f, enums, depth));
        parts.push(proptest::option::weighted(0.9, proptest::strategy::Union::new(arms)).boxed());
    }
    parts
        .prop_map(move |parts| {
            let mut message = empty.clone();
            for (field, value) in parts.into_iter().flatten() {
                // A default without presence is the same as nothing; a dynamic message would remember that it
                // was set.
                if field.supports_presence() || !value.is_default_for_field(&field) {
                    message.set_field(&field, value);
                }
            }
            message
        })
        .boxed()
}

/// The fields that both sides know.
fn fields(descriptor: &MessageDescriptor) -> impl Iterator<Item = FieldDescriptor> {
    descriptor.fields().filter(|field| !NEWER.contains(&field.full_name()))
}

fn real_oneof(field: &FieldDescriptor) -> Option<prost_reflect::OneofDescriptor> {
    field.containing_oneof().filter(|o| !o.is_synthetic())
}

fn set(field: FieldDescriptor, enums: Enums, depth: u32) -> BoxedStrategy<(FieldDescriptor, Value)> {
    let value = if field.is_map() {
        let kind = field.kind();
        let entry = kind.as_message().unwrap();
        let key = match entry.map_entry_key_field().kind() {
            Kind::String => text().prop_map(MapKey::String).boxed(),
            Kind::Uint32 => any::<u32>().prop_map(MapKey::U32).boxed(),
            other => panic!("{}: proto/ uses a new kind of key, {other:?}", field.full_name()),
        };
        proptest::collection::hash_map(
            key,
            single(&entry.map_entry_value_field().kind(), enums, depth),
            0..=ENTRIES,
        )
        .prop_map(Value::Map)
        .boxed()
    } else if field.is_list() {
        vec(single(&field.kind(), enums, depth), 0..=ENTRIES).prop_map(Value::List).boxed()
    } else {
        single(&field.kind(), enums, depth)
    };
    value.prop_map(move |value| (field.clone(), value)).boxed()
}

fn single(kind: &Kind, enums: Enums, depth: u32) -> BoxedStrategy<Value> {
    match kind {
        Kind::Bool => any::<bool>().prop_map(Value::Bool).boxed(),
        Kind::Int32 => any::<i32>().prop_map(Value::I32).boxed(),
        Kind::Int64 => any::<i64>().prop_map(Value::I64).boxed(),
        Kind::Uint32 => any::<u32>().prop_map(Value::U32).boxed(),
        Kind::Uint64 => any::<u64>().prop_map(Value::U64).boxed(),
        // No infinity: JSON has no number for it.
        Kind::Float => {
            use proptest::num::f32::{NEGATIVE, NORMAL, POSITIVE, SUBNORMAL, ZERO};
            (POSITIVE | NEGATIVE | NORMAL | SUBNORMAL | ZERO).prop_map(Value::F32).boxed()
        }
        Kind::String => text().prop_map(Value::String).boxed(),
        Kind::Bytes => vec(any::<u8>(), 0..12).prop_map(|b| Value::Bytes(b.into())).boxed(),
        Kind::Enum(descriptor) => {
            let defined: Vec<i32> = descriptor.values().map(|v| v.number()).collect();
            match enums {
                Enums::Defined => select(defined).prop_map(Value::EnumNumber).boxed(),
                Enums::Any => {
                    prop_oneof![3 => select(defined), 1 => any::<i32>()].prop_map(Value::EnumNumber).boxed()
                }
            }
        }
        // Its JSON form has limits.
        Kind::Message(descriptor) if descriptor.full_name() == "google.protobuf.Duration" => {
            let descriptor = descriptor.clone();
            (0..100_000_i64, 0..1_000_000_000_i32)
                .prop_map(move |(seconds, nanos)| {
                    let mut duration = DynamicMessage::new(descriptor.clone());
                    for (name, value) in [("seconds", Value::I64(seconds)), ("nanos", Value::I32(nanos))] {
                        if value != Value::I64(0) && value != Value::I32(0) {
                            duration.set_field_by_name(name, value);
                        }
                    }
                    Value::Message(duration)
                })
                .boxed()
        }
        Kind::Message(descriptor) => to_depth(descriptor, enums, depth - 1).prop_map(Value::Message).boxed(),
        other => panic!("proto/ uses a new kind of field, {other:?}: give it a strategy"),
    }
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![2 => "[a-z]{1,6}", 1 => any::<String>().prop_map(|s| s.chars().take(6).collect()), 1 => Just(String::new())]
}

/// Each field alone, with a value that is not its default, and with each value of its enum: random values may
/// miss some.
pub(crate) fn each_field(descriptor: &MessageDescriptor) -> Vec<Sample> {
    let mut all = Vec::new();
    for field in fields(descriptor) {
        let values = if field.is_map() {
            let kind = field.kind();
            let entry = kind.as_message().unwrap();
            let value = plain(&entry.map_entry_value_field().kind()).remove(0);
            let key = match entry.map_entry_key_field().kind() {
                Kind::Uint32 => MapKey::U32(7),
                _ => MapKey::String("key".to_owned()),
            };
            vec![Value::Map([(key, value)].into())]
        } else if field.is_list() {
            plain(&field.kind()).into_iter().map(|v| Value::List(vec![v.clone(), v])).collect()
        } else {
            let mut values = plain(&field.kind());
            if field.supports_presence() {
                values.push(Value::default_value(&field.kind()));
            }
            values
        };
        for value in values {
            let mut message = DynamicMessage::new(descriptor.clone());
            if field.supports_presence() || !value.is_default_for_field(&field) {
                message.set_field(&field, value);
            }
            all.push(Sample(message));
        }
    }
    all
}

fn plain(kind: &Kind) -> Vec<Value> {
    match kind {
        Kind::Bool => vec![Value::Bool(true)],
        Kind::Int32 => vec![Value::I32(-7)],
        Kind::Int64 => vec![Value::I64(-7)],
        Kind::Uint32 => vec![Value::U32(7)],
        Kind::Uint64 => vec![Value::U64(7)],
        Kind::Float => vec![Value::F32(0.7)],
        Kind::String => vec![Value::String("seven".to_owned())],
        Kind::Bytes => vec![Value::Bytes(b"seven".as_slice().into())],
        Kind::Enum(descriptor) => descriptor.values().map(|v| Value::EnumNumber(v.number())).collect(),
        Kind::Message(descriptor) => vec![Value::Message(DynamicMessage::new(descriptor.clone()))],
        other => panic!("proto/ uses a new kind of field, {other:?}: give it a value"),
    }
}

/// The enums that the fields of a message are of.
pub(crate) fn enums_of(message: &DynamicMessage) -> Vec<String> {
    let kinds = message.descriptor().fields().map(|f| f.kind()).collect::<Vec<_>>();
    kinds.iter().filter_map(Kind::as_enum).map(|e| e.full_name().to_owned()).collect()
}
