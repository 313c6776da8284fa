//! What makes two ranks the same program: the version of distwq, the functions, and the
//! executable's content.

use crate::function::registry::Registry;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, Read};
use std::sync::OnceLock;
use xxhash_rust::xxh3::Xxh3Default;

/// Equal on two ranks exactly when they run the same program.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
pub(crate) struct Fingerprint {
    version: String,
    functions: u32,
    table: u64,
    executable: u64,
}

impl Fingerprint {
    /// Of this process. Without access to its own executable, that part is zero.
    pub(crate) fn of(registry: &Registry) -> Self {
        static EXECUTABLE: OnceLock<u64> = OnceLock::new();
        let mut table = Xxh3Default::new();
        for remote in registry.functions() {
            table.update(format!("{remote:?}\n").as_bytes());
        }
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            functions: registry.functions().len() as u32,
            table: table.digest(),
            executable: *EXECUTABLE.get_or_init(|| executable_content().unwrap_or(0)),
        }
    }

    /// As of the same program built again.
    #[cfg(test)]
    pub(crate) fn altered(self) -> Self {
        Self { executable: !self.executable, ..self }
    }

    /// What differs between this fingerprint and another one, in words.
    pub(crate) fn difference(&self, other: &Self) -> Option<String> {
        if self.version != other.version {
            return Some(format!("distwq {} against {}", self.version, other.version));
        }
        if (self.functions, self.table) != (other.functions, other.table) {
            return Some(format!("different remote functions ({} against {})", self.functions, other.functions));
        }
        (self.executable != other.executable).then(|| "executables of different content".to_owned())
    }
}

fn executable_content() -> io::Result<u64> {
    let mut file = File::open(std::env::current_exe()?)?;
    let mut hash = Xxh3Default::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hash.digest()),
            count => hash.update(&buffer[..count]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_named() {
        let own = Fingerprint::of(Registry::get().expect("keys differ"));
        assert_eq!(own.difference(&own.clone()), None);
        let rebuilt = own.clone().altered();
        assert!(own.difference(&rebuilt).is_some_and(|text| text.contains("content")));
        let newer = Fingerprint { version: "9.0".into(), ..own.clone() };
        assert!(own.difference(&newer).is_some_and(|text| text.contains("against 9.0")));
    }
}
