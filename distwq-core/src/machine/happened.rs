//! What has happened that threads of the rank may wait for.

/// Keys of what has happened since the threads were last woken.
#[derive(Debug)]
pub(crate) struct Happened<K> {
    keys: Vec<K>,
    all: bool,
}

impl<K> Default for Happened<K> {
    fn default() -> Self {
        Self { keys: Vec::new(), all: false }
    }
}

impl<K> Happened<K> {
    /// What is awaited under this key has happened, or cannot happen any more.
    pub(crate) fn note(&mut self, key: K) {
        self.keys.push(key);
    }

    /// What any thread waits for may have become impossible.
    pub(crate) fn note_all(&mut self) {
        self.all = true;
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.keys.is_empty() && !self.all
    }

    /// Gives `one` each key that was noted, after `all` if that was.
    pub(crate) fn take<C>(&mut self, to: &mut C, all: impl FnOnce(&mut C), one: impl Fn(&mut C, K)) {
        if std::mem::take(&mut self.all) {
            all(to);
        }
        for key in self.keys.drain(..) {
            one(to, key);
        }
    }
}
