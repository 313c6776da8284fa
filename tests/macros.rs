//! What `#[remote]` accepts, run: each form is called as an ordinary function and as a
//! task.
//!
//! The whole file stands under lints that users may have; what the attribute adds must
//! not raise any of them.
#![forbid(unsafe_code)]
#![deny(missing_docs, missing_debug_implementations, nonstandard_style, unreachable_pub, unused, unused_qualifications)]
#![deny(clippy::pedantic, clippy::nursery)]
#![allow(
    clippy::missing_const_for_fn,
    clippy::redundant_pub_crate,
    reason = "about the functions here, not about what is made of them"
)]

use distwq::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// The values of these tasks, in order.
fn values<T: serde::de::DeserializeOwned>(cluster: &Cluster, calls: impl IntoIterator<Item = Call<T>>) -> Vec<T> {
    let handles: Vec<_> = calls.into_iter().map(|call| cluster.submit(call)).collect();
    handles.iter().map(|handle| handle.get().expect("the task gives a value")).collect()
}

mod counts {
    use distwq::prelude::*;

    #[remote]
    pub(crate) fn none() -> u8 {
        7
    }

    #[remote]
    #[expect(clippy::many_single_char_names, clippy::too_many_arguments, reason = "there are twelve")]
    pub(crate) fn twelve(
        a: i64,
        b: i64,
        c: i64,
        d: i64,
        e: i64,
        f: i64,
        g: i64,
        h: i64,
        i: i64,
        j: i64,
        k: i64,
        l: i64,
    ) -> [i64; 12] {
        [a, b, c, d, e, f, g, h, i, j, k, l]
    }

    #[remote]
    pub(crate) fn nothing() {}

    macro_rules! sixty_four {
        ($($name:ident)*) => {
            #[remote]
            #[allow(clippy::too_many_arguments)]
            pub(crate) fn sixty_four($($name: u8),*) -> Vec<u8> {
                vec![$($name),*]
            }
        };
    }
    sixty_four!(
        a0 a1 a2 a3 a4 a5 a6 a7 a8 a9 b0 b1 b2 b3 b4 b5 b6 b7 b8 b9 c0 c1 c2 c3 c4 c5 c6 c7 c8 c9 d0 d1 d2 d3 d4 d5 d6
        d7 d8 d9 e0 e1 e2 e3 e4 e5 e6 e7 e8 e9 f0 f1 f2 f3 f4 f5 f6 f7 f8 f9 g0 g1 g2 g3
    );

    macro_rules! numbers_as_arguments {
        ($function:path) => {
            $function(
                0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27,
                28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 52, 53,
                54, 55, 56, 57, 58, 59, 60, 61, 62, 63,
            )
        };
    }
    pub(crate) use numbers_as_arguments;
}

#[distwq::test(ranks = [2])]
fn functions_have_from_no_to_sixty_four_parameters(cluster: &Cluster) {
    use counts::numbers_as_arguments;
    assert_eq!(values(cluster, [counts::none::call()]), [counts::none()]);
    values(cluster, [counts::nothing::call()]);
    let in_order = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];
    assert_eq!(counts::twelve(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12), in_order);
    assert_eq!(values(cluster, [counts::twelve::call(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12)]), [in_order]);
    let all: Vec<u8> = (0..64).collect();
    assert_eq!(numbers_as_arguments!(counts::sixty_four), all);
    assert_eq!(values(cluster, [numbers_as_arguments!(counts::sixty_four::call)]), [all]);
}

mod names {
    pub(crate) mod solve {
        use distwq::prelude::*;

        #[remote]
        pub(crate) fn solve(x: i64) -> i64 {
            x + 1
        }

        #[remote]
        pub(crate) fn r#match(r#fn: i64) -> i64 {
            r#fn + 2
        }
    }
    pub(crate) use solve::r#match;

    // Names that generated code uses too.
    #[distwq::remote]
    pub(crate) fn call(call: i64, invocation: i64, argument0: i64, value: i64) -> i64 {
        call * 1000 + invocation * 100 + argument0 * 10 + value
    }
}

#[distwq::test(ranks = [2])]
fn functions_are_called_by_any_path_and_name(cluster: &Cluster) {
    use names::{call as shout, solve::solve as cg};
    assert_eq!([cg(1), names::r#match(1)], [2, 3]);
    let calls = [cg::call(1), names::solve::solve::call(2), names::r#match::call(1), shout::call(1, 2, 3, 4)];
    assert_eq!(values(cluster, calls), [2, 3, 3, 1234]);
}

fn one_step(cluster: &Cluster) -> i64 {
    #[remote]
    fn step(x: i64) -> i64 {
        x + 1
    }
    values(cluster, [step::call(step(0))])[0]
}

fn other_step(cluster: &Cluster) -> i64 {
    let closure = || {
        #[remote]
        fn step(x: i64) -> i64 {
            x + 10
        }
        values(cluster, [step::call(step(0))])[0]
    };
    closure()
}

#[distwq::test(ranks = [2])]
fn functions_in_blocks_are_told_apart(cluster: &Cluster) {
    #[remote]
    fn step(x: i64) -> i64 {
        x + 100
    }
    assert_eq!(values(cluster, [step::call(step(0))]), [200]);
    assert_eq!([one_step(cluster), other_step(cluster)], [2, 20]);
}

mod patterns {
    use distwq::prelude::*;

    #[remote]
    pub(crate) fn mutable(mut x: Vec<i64>) -> Vec<i64> {
        x.push(1);
        x
    }

    #[remote]
    pub(crate) fn taken_apart((a, b): (i64, i64), [c, _]: [i64; 2], _: u8, argument1: i64, argument3: i64) -> Vec<i64> {
        vec![a, b, c, argument1, argument3]
    }

    #[remote]
    #[expect(clippy::toplevel_ref_arg, reason = "a pattern that takes its value by reference")]
    pub(crate) fn bound(all @ (first, _): (i64, i64), ref second: i64) -> Vec<i64> {
        vec![all.1, first, *second]
    }
}

#[distwq::test(ranks = [2])]
fn parameters_can_be_patterns(cluster: &Cluster) {
    let calls = [
        patterns::mutable::call(patterns::mutable(vec![])),
        patterns::taken_apart::call((1, 2), [3, 4], 5, 6, 7),
        patterns::bound::call((1, 2), 3),
    ];
    assert_eq!(values(cluster, calls), [vec![1, 1], vec![1, 2, 3, 6, 7], vec![2, 1, 3]]);
}

mod contexts {
    use distwq::{Context as Surroundings, prelude::*};

    #[remote]
    pub(crate) fn alone(ctx: &Context) -> u32 {
        ctx.attempt()
    }

    pub(crate) mod path {
        #[distwq::remote]
        pub(crate) fn by_its_path(_: &distwq::Context, (a, b): (u32, u32)) -> u32 {
            a + b
        }
    }
    pub(crate) use path::by_its_path;

    // The names of generated code.
    #[remote]
    pub(crate) fn context(context: &Context, invocation: u32) -> Result<u32, String> {
        context.attempt().checked_sub(invocation).ok_or_else(|| "too many".to_owned())
    }

    #[remote(collective)]
    pub(crate) fn before_a_group(ctx: &Context, group: &Group, text: &str) -> Result<u32, GroupError> {
        group.all_reduce(ctx.attempt() + u32::from(text == "x"), |a, b| a + b)
    }

    macro_rules! with_context {
        ($name:ident($context:ident: $ty:ty)) => {
            #[remote]
            pub(crate) fn $name($context: $ty) -> u32 {
                $context.attempt()
            }
        };
    }
    with_context!(by_a_macro(ctx: &Context));

    pub(crate) fn is_the_same(context: &Context) -> &Surroundings {
        context
    }
}

#[distwq::test(ranks = [3])]
fn a_context_is_the_first_parameter_and_no_argument(cluster: &Cluster) {
    let context = distwq::testing::context();
    let direct = [
        contexts::alone(&context),
        contexts::by_its_path(contexts::is_the_same(&context), (1, 2)),
        contexts::context(&context, 0).expect("no more than its attempt"),
        contexts::by_a_macro(&context),
    ];
    assert_eq!(direct, [1, 3, 1, 1]);
    let calls = [
        contexts::alone::call(),
        contexts::by_its_path::call((1, 2)),
        contexts::context::call(0),
        contexts::by_a_macro::call(),
        contexts::before_a_group::call("x").ranks(2),
    ];
    assert_eq!(values(cluster, calls), [1, 3, 1, 1, 4]);
    let error = cluster.submit(contexts::context::call(2)).get().expect_err("1 - 2");
    assert_eq!(error.message(), Some("too many"));
}

/// A type with serde's traits and no others.
#[derive(Debug, Serialize, Deserialize)]
struct Window {
    weights: Vec<f64>,
}

mod references {
    use super::Window;
    use distwq::prelude::*;
    use std::collections::HashMap;

    #[remote]
    pub(crate) fn total(window: &Window, samples: &[f64], scale: f64) -> f64 {
        window.weights.iter().chain(samples).sum::<f64>() * scale
    }

    #[remote]
    pub(crate) fn lengths(text: &str, array: &[u64; 3], map: &HashMap<u8, u8>) -> Vec<usize> {
        vec![text.len(), array.len(), map.len()]
    }

    #[remote]
    #[expect(clippy::ptr_arg, reason = "a reference to the owner is accepted too")]
    pub(crate) fn owners(text: &String, list: &Vec<u8>) -> usize {
        text.len() + list.len()
    }
}

#[distwq::test(ranks = [2])]
fn parameters_can_be_references(cluster: &Cluster) {
    let window = Window { weights: vec![1.0, 2.0] };
    let shared = cluster.value(&window);
    let samples = vec![3.0];
    assert!((references::total(&window, &samples, 2.0) - 12.0).abs() < 1e-12);
    let calls = [
        references::total::call(&window, &samples, 2.0),
        references::total::call(&shared, &samples[..], 3.0),
        references::total::call(shared, [3.0].as_slice(), 4.0),
        references::total::call(window, &[3.0], 5.0),
    ];
    let expected = [12.0, 18.0, 24.0, 30.0];
    assert!(values(cluster, calls).iter().zip(expected).all(|(x, y)| (x - y).abs() < 1e-12));
    let calls = [
        references::lengths::call("ab", [1, 2, 3], HashMap::new()),
        references::lengths::call(String::from("abc"), [1, 2, 3], HashMap::from([(1, 2)])),
    ];
    assert_eq!(values(cluster, calls), [[2, 3, 0], [3, 3, 1]]);
    assert_eq!(values(cluster, [references::owners::call("ab", vec![1])]), [3]);
}

mod inputs {
    use distwq::prelude::*;

    #[remote]
    pub(crate) fn square(x: i64) -> i64 {
        x * x
    }

    #[remote]
    #[expect(clippy::needless_pass_by_value, reason = "a parameter by value")]
    pub(crate) fn sum(values: Vec<i64>) -> i64 {
        values.iter().sum()
    }

    #[remote]
    pub(crate) fn shared_sum(values: &[i64]) -> i64 {
        values.iter().sum()
    }
}

#[distwq::test(ranks = [3])]
fn outputs_of_tasks_are_arguments_one_or_many(cluster: &Cluster) {
    let squares: Vec<_> = [1, 2, 3].map(inputs::square::call).map(|call| cluster.submit(call)).into();
    let calls = [
        inputs::square::call(&squares[2]),
        inputs::square::call(squares[1].clone()),
        inputs::sum::call(&squares),
        inputs::sum::call(&squares[1..]),
        inputs::shared_sum::call(squares),
        inputs::shared_sum::call(&[1, 2]),
        inputs::sum::call((1..4).collect::<Vec<_>>()),
    ];
    assert_eq!(values(cluster, calls), [81, 16, 14, 13, 14, 3, 6]);
}

mod results {
    use distwq::prelude::*;
    use std::error::Error;
    use std::fmt;

    #[derive(Debug)]
    pub(crate) struct Outer(std::num::ParseIntError);

    impl fmt::Display for Outer {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("no number")
        }
    }

    impl Error for Outer {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&self.0)
        }
    }

    /// An alias that is named `Result`.
    pub(crate) mod parsing {
        pub(crate) type Result<T> = std::result::Result<T, super::Outer>;
    }

    #[remote]
    pub(crate) fn plain(text: &str) -> Result<i64, Outer> {
        text.parse().map_err(Outer)
    }

    #[remote]
    pub(crate) fn aliased(text: &str) -> parsing::Result<i64> {
        plain(text)
    }

    #[remote]
    pub(crate) fn boxed(text: &str) -> Result<i64, Box<dyn Error + Send + Sync>> {
        Ok(plain(text)?)
    }

    #[remote]
    pub(crate) fn texted(text: &str) -> Result<i64, String> {
        plain(text).map_err(|error| error.to_string())
    }
}

#[distwq::test(ranks = [2])]
fn a_result_gives_its_value_or_fails_the_task_with_the_text_of_its_error(cluster: &Cluster) {
    let all = |text: &str| {
        [
            results::plain::call(text),
            results::aliased::call(text),
            results::boxed::call(text),
            results::texted::call(text),
        ]
    };
    assert_eq!(values(cluster, all("3")), [3; 4]);
    let errors = all("x").map(|call| cluster.submit(call).get().expect_err("no number"));
    let texts: Vec<_> = errors.iter().map(|error| error.message().expect("the error has a text")).collect();
    let with_source = "no number: invalid digit found in string";
    assert_eq!(texts, [with_source, with_source, with_source, "no number"]);
}

mod macros {
    /// Every part of the function comes from outside.
    macro_rules! remote_function {
        ($(#[$attribute:meta])* $visibility:vis $name:ident($parameter:ident: $ty:ty) -> $output:ty $body:block) => {
            $(#[$attribute])*
            #[distwq::remote(crate = $crate::macros::renamed)]
            $visibility fn $name($parameter: $ty) -> $output $body
        };
    }

    macro_rules! remote_item {
        ($item:item) => {
            #[distwq::remote]
            $item
        };
    }

    pub(crate) use distwq as renamed;

    remote_function!(pub(crate) doubled(x: i64) -> i64 { x * 2 });
    remote_function!(#[must_use] pub(crate) length(text: &str) -> usize { text.len() });
    remote_item!(
        pub(crate) fn halved(x: i64) -> i64 {
            x / 2
        }
    );
}

#[distwq::test(ranks = [2])]
fn functions_can_be_made_by_macros(cluster: &Cluster) {
    assert_eq!(values(cluster, [macros::doubled::call(4), macros::halved::call(4)]), [8, 2]);
    assert_eq!(values(cluster, [macros::length::call("abc")]), [3]);
}

/// A module in which no name means what it usually does.
#[expect(non_camel_case_types, dead_code, reason = "names to stumble over")]
#[no_implicit_prelude]
mod strange {
    use ::distwq::remote;

    struct Result;
    struct Option;
    struct Vec;
    struct String;
    struct Ok;
    struct Err;
    struct core;
    struct std;
    struct distwq;
    mod linkme {}

    #[remote]
    pub(super) fn greeting(
        name: &str,
        marks: &[u8],
    ) -> ::std::result::Result<::std::string::String, ::std::string::String> {
        if marks.is_empty() {
            ::std::result::Result::Err(::std::format!("no marks for {name}"))
        } else {
            ::std::result::Result::Ok(::std::format!("hello, {name}"))
        }
    }

    #[remote]
    pub(super) fn square(x: i64) -> i64 {
        x * x
    }
}

#[distwq::test(ranks = [2])]
fn names_of_the_user_do_not_get_into_generated_code(cluster: &Cluster) {
    assert_eq!(values(cluster, [strange::greeting::call("you", [1].as_slice())]), ["hello, you"]);
    assert_eq!(values(cluster, [strange::square::call(3)]), [9]);
}

mod attributes {
    use distwq::prelude::*;

    #[remote]
    #[must_use]
    #[inline]
    pub(crate) const fn constant(x: i64) -> i64 {
        x
    }

    #[deprecated = "to see whether it warns"]
    #[remote]
    pub(crate) fn old(x: i64) -> i64 {
        x
    }

    #[remote]
    #[cfg(any())]
    pub(crate) fn only_here(x: Missing) -> Missing {
        x
    }

    #[remote]
    #[cfg(not(any()))]
    #[track_caller]
    pub(crate) fn only_here(x: i64) -> i64 {
        x
    }

    // Never called: no warning, like any function that others may call through a table.
    #[remote]
    fn unused(x: i64) -> i64 {
        x
    }
}

#[distwq::test(ranks = [2])]
#[expect(deprecated, reason = "`call` of a deprecated function is deprecated")]
fn functions_keep_their_attributes(cluster: &Cluster) {
    let calls = [attributes::constant::call(1), attributes::old::call(2), attributes::only_here::call(3)];
    assert_eq!(values(cluster, calls), [1, 2, 3]);
}

mod collective {
    use distwq::prelude::*;

    #[remote(collective)]
    pub(crate) fn members(group: &Group, more: &[usize], _: u8) -> Result<Vec<usize>, GroupError> {
        let mut ranks = group.all_gather(&group.rank())?;
        ranks.extend(more);
        Ok(ranks)
    }
}

mod named_in_full {
    #[distwq::remote(collective, crate = distwq)]
    pub(crate) fn ignored(_: &distwq::Group) {}
}

#[distwq::test(ranks = [4])]
fn collective_functions_get_their_group_and_the_arguments_after_it(cluster: &Cluster) {
    let calls = [1, 3].map(|ranks| collective::members::call(&[7], 0).ranks(ranks));
    assert_eq!(values(cluster, calls), [vec![0, 7], vec![0, 1, 2, 7]]);
    values(cluster, [named_in_full::ignored::call()]);
}

#[distwq::test(ranks = [2], workers = 2, time_limit = 30, every, config = Config::new().slots(1))]
fn a_test_takes_all_its_arguments_and_may_return_a_result(cluster: &Cluster) -> Result<(), TaskError> {
    assert_eq!(cluster.submit(inputs::square::call(3)).get()?, 9);
    Ok(())
}

/// Attributes of a test stay with it.
#[distwq::test]
#[ignore = "it would fail"]
fn an_ignored_test_is_ignored(_: &Cluster) {
    unreachable!("ignored tests do not run");
}
