//! What is encoded arrives as it was, or is refused by name: as argument, as output, in a
//! `Vec`, as shared value, in a group.

use distwq::prelude::*;
use distwq::{Described, Portable, Refusal};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;

type Outcome = Result<(), Box<dyn std::error::Error>>;

#[derive(Serialize, Deserialize, Clone, PartialEq, Debug)]
struct SkipsIf {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    level: Option<u8>,
    port: Option<u16>,
}

#[derive(Serialize, Deserialize, Clone, PartialEq, Debug)]
enum SkipsInVariant {
    Service {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        level: Option<u8>,
        port: Option<u16>,
    },
}

#[derive(Serialize, Deserialize, Clone, PartialEq, Debug)]
struct SkipsSerializing {
    #[serde(default, skip_serializing)]
    level: Option<u8>,
    port: Option<u8>,
}

#[derive(Serialize, Deserialize, Clone, PartialEq, Debug)]
#[serde(untagged)]
enum Untagged {
    Number(i64),
    Text(String),
}

#[derive(Serialize, Deserialize, Clone, PartialEq, Debug)]
struct Flattened {
    name: String,
    #[serde(flatten)]
    rest: BTreeMap<String, Value>,
}

#[derive(Serialize, Deserialize, Clone, PartialEq, Debug)]
#[serde(tag = "kind")]
enum Tagged {
    Circle { radius: f64 },
    Point,
}

/// Functions that take a type in all ways, and give it back.
macro_rules! functions {
    ($($module:ident: $ty:ty, $make:expr;)*) => {$(
        #[allow(dead_code, reason = "a type is refused or travels")]
        mod $module {
            use super::*;

            pub(super) fn value() -> $ty {
                $make
            }

            #[remote]
            pub(super) fn takes(value: $ty) -> bool {
                value == self::value()
            }

            #[remote]
            pub(super) fn shares(value: &$ty) -> bool {
                *value == self::value()
            }

            #[remote]
            pub(super) fn takes_several(values: Vec<$ty>) -> bool {
                values.len() == 2 && values.iter().all(|value| *value == self::value())
            }

            #[remote]
            pub(super) fn gives() -> $ty {
                value()
            }

            #[remote]
            pub(super) fn gives_several() -> Vec<$ty> {
                vec![value(); 2]
            }

            #[remote(collective)]
            pub(super) fn exchanges(group: &Group) -> Result<bool, GroupError> {
                let own = (group.rank() == 0).then(value);
                let broadcast = group.broadcast(0, own)?;
                let gathered = group.all_gather(&broadcast)?;
                Ok(gathered.len() == group.size() && gathered.iter().all(|value| *value == self::value()))
            }

            pub(super) fn travels(cluster: &Cluster) -> Outcome {
                for _ in 0..2 {
                    let shared = cluster.value(&value());
                    let given = cluster.submit(gives::call());
                    let answers = [
                        takes::call(value()), takes::call(&value()), takes::call(&given), shares::call(&value()),
                        shares::call(&shared), takes_several::call(vec![value(); 2]),
                        takes_several::call(&[value(), value()]), takes_several::call(vec![&given, &given].into_iter().cloned().collect::<Vec<_>>()),
                        exchanges::call().ranks(2),
                    ].map(|call| cluster.submit(call));
                    for answer in &answers {
                        assert!(answer.get()?, "{}", answer.info().function);
                    }
                    assert_eq!(given.get()?, value());
                    assert_eq!(cluster.submit(gives_several::call()).get()?, vec![value(); 2]);
                }
                Ok(())
            }

            pub(super) fn is_refused(cluster: &Cluster, texts: &[&str]) {
                for _ in 0..2 {
                    refused(cluster, takes::call(value()), 1, texts);
                    refused(cluster, shares::call(&value()), 1, texts);
                    refused(cluster, takes_several::call(vec![value(); 2]), 1, texts);
                    refused(cluster, takes_several::call(&[value(), value()]), 1, texts);
                    fails(cluster, gives::call(), texts);
                    fails(cluster, gives_several::call(), texts);
                    let shared = cluster.value(&value());
                    match shared.get() {
                        Err(TaskError::Refused { reason: Refusal::Value(message), .. }) => has_texts(&message, texts),
                        other => panic!("{other:?}"),
                    }
                    let mut graph = Graph::new();
                    let handle = graph.add(takes::call(value()));
                    assert!(cluster.run(&mut graph).is_err());
                    has_texts(&handle.get().expect_err("it is refused").to_string(), texts);
                    let error = cluster.submit(exchanges::call().ranks(2)).get().expect_err("it does not travel");
                    has_texts(&error.to_string(), texts);
                }
            }
        }
    )*};
}

functions! {
    skips_if: SkipsIf, SkipsIf { level: None, port: Some(80) };
    skips_in_variant: SkipsInVariant, SkipsInVariant::Service { level: None, port: Some(80) };
    skips_serializing: SkipsSerializing, SkipsSerializing { level: Some(1), port: Some(80) };
    untagged: Untagged, Untagged::Number(5);
    flattened: Flattened, Flattened { name: "x".into(), rest: [("y".to_owned(), json!(1.5))].into() };
    tagged: Tagged, Tagged::Circle { radius: 1.0 };
    json_value: Value, json!({"a": [1, -1, 1.5, null, "text", {"b": u64::MAX}]});
    described_skips_if: Described<SkipsIf>, Described(skips_if::value());
    described_untagged: Described<Untagged>, Described(Untagged::Text("text".into()));
    described_flattened: Described<Flattened>, Described(flattened::value());
    described_tagged: Described<Vec<Tagged>>, Described(vec![Tagged::Point, tagged::value()]);
    described_json: Described<Value>, Described(json_value::value());
    described_nested: (u8, Option<Described<Value>>, Vec<Described<Untagged>>),
        (1, Some(described_json::value()), vec![described_untagged::value(); 3]);
    full_skips_if: SkipsIf, SkipsIf { level: Some(1), port: Some(80) };
    nothing_in_something: Described<Option<Option<u8>>>, Described(Some(None));
}

#[track_caller]
fn has_texts(message: &str, texts: &[&str]) {
    assert!(texts.iter().all(|text| message.contains(text)), "{message}");
}

#[track_caller]
fn refused<T: Portable + std::fmt::Debug>(cluster: &Cluster, call: Call<T>, wanted: usize, texts: &[&str]) {
    match cluster.submit(call).get() {
        Err(TaskError::Refused { reason: Refusal::Encode { argument, message }, .. }) => {
            assert_eq!(argument, wanted);
            has_texts(&message, texts);
        }
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn fails<T: Portable + std::fmt::Debug>(cluster: &Cluster, call: Call<T>, texts: &[&str]) {
    match cluster.submit(call).get() {
        Err(TaskError::Codec { message, .. }) => has_texts(&message, texts),
        other => panic!("{other:?}"),
    }
}

#[distwq::test(ranks = [3])]
fn a_type_that_would_arrive_as_something_else_is_refused_by_name(cluster: &Cluster) -> Outcome {
    skips_if::is_refused(cluster, &["encoding::SkipsIf`", "`level`", "distwq::Described"]);
    skips_in_variant::is_refused(cluster, &["encoding::SkipsInVariant::Service`", "`level`", "distwq::Described"]);
    skips_serializing::is_refused(cluster, &["encoding::SkipsSerializing`", "`level`", "distwq::Described"]);
    Ok(())
}

#[distwq::test(ranks = [3])]
fn a_type_that_needs_marks_is_refused_by_name(cluster: &Cluster) -> Outcome {
    untagged::is_refused(cluster, &["encoding::Untagged`", "untagged", "distwq::Described"]);
    flattened::is_refused(cluster, &["encoding::Flattened`", "flatten", "distwq::Described"]);
    tagged::is_refused(cluster, &["encoding::Tagged`", "tag", "distwq::Described"]);
    json_value::is_refused(cluster, &["Value`", "serde_json::Value", "distwq::Described"]);
    nothing_in_something::is_refused(cluster, &["within `Some`", "Option<core::option::Option<u8>>"]);
    Ok(())
}

#[distwq::test(ranks = [3])]
fn described_such_types_arrive_as_they_were(cluster: &Cluster) -> Outcome {
    described_skips_if::travels(cluster)?;
    described_untagged::travels(cluster)?;
    described_flattened::travels(cluster)?;
    described_tagged::travels(cluster)?;
    described_json::travels(cluster)?;
    described_nested::travels(cluster)
}

/// What a type leaves out hangs on the value: without anything left out it arrives.
#[distwq::test(ranks = [3])]
fn a_type_that_leaves_nothing_out_this_time_travels(cluster: &Cluster) -> Outcome {
    full_skips_if::travels(cluster)
}
