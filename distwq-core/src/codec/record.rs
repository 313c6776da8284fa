//! What a value wrote: the parts that have names, and where its bytes begin and end.

use super::refused;
use super::sites::Site;
use super::watched::{Kind, Watch};
use rustc_hash::{FxHashMap, FxHashSet};
use std::cell::{Cell, RefCell};

/// How many parts of a kind are kept. A long sequence of structs is compared by its first
/// ones; all share one type.
const PARTS_OF_A_KIND_MAX: usize = 16;

/// A value that is being written, or has been.
#[derive(Default)]
pub(super) struct Record {
    /// How many bytes were written.
    pub(super) written: Cell<usize>,
    inner: RefCell<Inner>,
}

#[derive(Default)]
struct Inner {
    /// In the order in which they begin.
    parts: Vec<Part>,
    /// How many there were of each kind and Rust type.
    counts: FxHashMap<(Kind, &'static str), usize>,
    edges: Edges,
    last_edge: usize,
    sites: FxHashSet<Site>,
}

/// A struct, a tuple struct or a variant.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub(super) kind: Kind,
    /// How many fields are written.
    pub(super) len: usize,
    /// The Rust type.
    pub(super) written_by: &'static str,
    pub(super) begin: usize,
    pub(super) end: usize,
    /// The names of its fields and where each begins.
    pub(super) fields: Vec<(&'static str, usize)>,
}

impl Part {
    /// What serde calls `name`, for people.
    pub(super) fn title(&self, name: &str) -> String {
        let variant = match self.kind {
            Kind::Variant { variant, .. } => Some(variant),
            Kind::Struct { .. } | Kind::TupleStruct { .. } => None,
        };
        refused::title(name, variant, self.written_by)
    }

    /// The names of its fields.
    pub(super) fn names(&self) -> Vec<&'static str> {
        self.fields.iter().map(|(name, _)| *name).collect()
    }

    /// The names of the fields that take room. One that takes none shifts nothing.
    pub(super) fn names_with_room(&self) -> Vec<&'static str> {
        let ends = self.fields.iter().skip(1).map(|(_, begin)| *begin).chain([self.end]);
        self.fields.iter().zip(ends).filter(|((_, begin), end)| begin < end).map(|((name, _), _)| *name).collect()
    }
}

/// Offsets between bytes at which a value begins or ends: a bit for each.
#[derive(Default)]
struct Edges(Vec<u64>);

impl Edges {
    fn add(&mut self, offset: usize) {
        if self.0.len() <= offset / 64 {
            self.0.resize(offset / 64 + 1, 0);
        }
        self.0[offset / 64] |= 1 << (offset % 64);
    }

    /// All from one to the other, both included.
    fn add_all(&mut self, first: usize, last: usize) {
        self.add(last);
        for word in first / 64..=last / 64 {
            let low = if word == first / 64 { first % 64 } else { 0 };
            let high = if word == last / 64 { last % 64 } else { 63 };
            self.0[word] |= (u64::MAX << low) & (u64::MAX >> (63 - high));
        }
    }

    fn has(&self, offset: usize) -> bool {
        self.0.get(offset / 64).is_some_and(|bits| bits & (1 << (offset % 64)) != 0)
    }
}

impl Record {
    /// Of a value that is written as a `T` and will be read as an `R`.
    pub(super) fn of<R, T: ?Sized>() -> Self {
        let record = Self::default();
        (&record).passes(Site::whole::<R, T>());
        record
    }

    /// All offsets that the value has passed have been compared.
    pub(super) fn add_sites(&self) {
        self.inner.borrow().sites.iter().for_each(|site| site.add());
    }

    pub(super) fn is_edge(&self, offset: usize) -> bool {
        self.inner.borrow().edges.has(offset)
    }

    /// The first part from the `next` one on that begins at `offset` and is such a kind,
    /// with its number.
    pub(super) fn find(&self, next: usize, offset: usize, is_it: impl Fn(&Kind) -> bool) -> Option<(usize, Part)> {
        let inner = self.inner.borrow();
        // They begin in order, so those before `offset` are passed once only.
        let begin = next + inner.parts[next..].partition_point(|part| part.begin < offset);
        let here = inner.parts.iter().enumerate().skip(begin).take_while(|(_, part)| part.begin == offset);
        here.filter(|(_, part)| is_it(&part.kind)).map(|(index, part)| (index, part.clone())).next()
    }
}

impl Watch for &Record {
    /// Its number, if it is kept.
    type Part = Option<usize>;

    fn passes(self, site: Site) -> bool {
        self.inner.borrow_mut().sites.insert(site);
        true
    }

    fn edge(self) {
        let inner = &mut *self.inner.borrow_mut();
        inner.last_edge = self.written.get();
        inner.edges.add(inner.last_edge);
    }

    fn run(self) {
        let inner = &mut *self.inner.borrow_mut();
        inner.edges.add_all(inner.last_edge, self.written.get());
        inner.last_edge = self.written.get();
    }

    fn open(self, kind: Kind, len: usize, written_by: &'static str) -> Option<usize> {
        let inner = &mut *self.inner.borrow_mut();
        let count = inner.counts.entry((kind, written_by)).or_default();
        *count += 1;
        if *count > PARTS_OF_A_KIND_MAX {
            return None;
        }
        let begin = self.written.get();
        inner.parts.push(Part { kind, len, written_by, begin, end: begin, fields: Vec::new() });
        Some(inner.parts.len() - 1)
    }

    fn field(self, part: Option<usize>, name: &'static str) {
        if let Some(part) = part {
            self.inner.borrow_mut().parts[part].fields.push((name, self.written.get()));
        }
    }

    fn close(self, part: Option<usize>) {
        if let Some(part) = part {
            self.inner.borrow_mut().parts[part].end = self.written.get();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_are_where_they_were_added() {
        for (first, last) in [(0, 0), (0, 63), (1, 64), (63, 64), (64, 127), (5, 300), (130, 131)] {
            let mut edges = Edges::default();
            edges.add_all(first, last);
            assert!((0..400).all(|offset| edges.has(offset) == (first..=last).contains(&offset)), "{first}, {last}");
        }
    }
}
