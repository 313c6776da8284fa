//! The text of an error with the chain of its sources: what travels of the error of a
//! task, and what a program says of that of its body.

use std::error::Error;

/// The error and its sources, each behind a colon. A source that the text so far tells is
/// not told again: many errors have the text of their source in their own.
pub(crate) fn with_sources(error: &dyn Error) -> String {
    let mut text = error.to_string();
    for source in std::iter::successors(error.source(), |error| (**error).source()) {
        let source = source.to_string();
        if !tells(&text, &source) {
            text = text + ": " + &source;
        }
    }
    text
}

/// Whether `part` stands in `text`, and not only within a longer word or number.
fn tells(text: &str, part: &str) -> bool {
    part.is_empty()
        || text.match_indices(part).any(|(index, _)| {
            let inside = |neighbor: Option<char>| neighbor.is_some_and(char::is_alphanumeric);
            !inside(text[..index].chars().next_back()) && !inside(text[index + part.len()..].chars().next())
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Level {
        text: &'static str,
        source: Option<Box<Level>>,
    }

    /// An error of the first text, whose source is that of the next one, and so on.
    fn chain(texts: &[&'static str]) -> Level {
        let error = texts.iter().rev().fold(None, |source, text| Some(Box::new(Level { text, source })));
        *error.expect("there is a text")
    }

    #[test]
    fn each_source_is_told_once() {
        for (texts, told) in [
            (&["outer"][..], "outer"),
            (&["outer", "middle", "inner"], "outer: middle: inner"),
            (
                &["cannot read a.txt: no such file (os error 2)", "no such file (os error 2)"],
                "cannot read a.txt: no such file (os error 2)",
            ),
            (&["outer (inner), twice", "inner", "root"], "outer (inner), twice: root"),
            (&["cannot", "not"], "cannot: not"),
            (&["line 12", "1"], "line 12: 1"),
            (&["outer", ""], "outer"),
        ] {
            assert_eq!(with_sources(&chain(texts)), told);
        }
    }
}
