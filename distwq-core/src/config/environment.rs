//! The settings that come from the variables of the environment.

use super::{Config, ConfigError, LogLevel, ProgressStyle};
use std::time::Duration;

impl Config {
    /// These settings with those of the environment over them, checked.
    pub(crate) fn with_environment(self) -> Result<Self, ConfigError> {
        self.with_variables(|name| std::env::var(name).ok())
    }

    fn with_variables(mut self, variable: impl Fn(&'static str) -> Option<String>) -> Result<Self, ConfigError> {
        let read = Reader(&variable);
        read.number("DISTWQ_WORKERS", |value| self.workers = Some(value))?;
        read.number("DISTWQ_SLOTS", |value| self.slots = value)?;
        read.number("DISTWQ_CONTROLLER", |value| self.controller = value)?;
        read.number("DISTWQ_INLINE_BYTES_MAX", |value| self.inline_bytes_max = value)?;
        read.number("DISTWQ_PIECE_BYTES", |value| self.piece_bytes = value)?;
        read.number("DISTWQ_STACK_BYTES", |value| self.stack_bytes = value)?;
        read.number("DISTWQ_SEED", |value| self.seed = value)?;
        read.milliseconds("DISTWQ_HANDSHAKE_LIMIT_MS", &mut self.handshake_limit)?;
        read.milliseconds("DISTWQ_COLLECTIVE_GRACE_MS", &mut self.collective_grace)?;
        read.milliseconds("DISTWQ_SHUTDOWN_GRACE_MS", &mut self.shutdown_grace)?;
        read.milliseconds("DISTWQ_STUCK_GRACE_MS", &mut self.stuck_grace)?;
        read.number("DISTWQ_TIME_LIMIT_MS", |ms| self.time_limit = Some(Duration::from_millis(ms)))?;
        read.milliseconds("DISTWQ_INIT_LIMIT_MS", &mut self.init_limit)?;
        read.milliseconds("DISTWQ_FINISH_LIMIT_MS", &mut self.finish_limit)?;
        read.number("DISTWQ_QUEUE_MAX", |value| self.queue_max = value)?;
        read.number("DISTWQ_QUEUE_BYTES_MAX", |value| self.queue_bytes_max = value)?;
        read.switch("DISTWQ_HANDLE_SIGNALS", &mut self.handle_signals)?;
        read.switch("DISTWQ_MPI_THREAD_MULTIPLE", &mut self.mpi_thread_multiple)?;
        read.word("DISTWQ_PROGRESS", &ProgressStyle::WORDS, "auto, bar, lines or off", &mut self.progress)?;
        let levels = "off, error, warn, info, debug or trace";
        read.word("DISTWQ_FORWARD_LOGS", &LogLevel::WORDS, levels, &mut self.forward_logs)?;
        self.checked()
    }
}

/// The variables of [`Config`].
const VARIABLES: [&str; 20] = [
    "DISTWQ_WORKERS",
    "DISTWQ_SLOTS",
    "DISTWQ_CONTROLLER",
    "DISTWQ_INLINE_BYTES_MAX",
    "DISTWQ_PIECE_BYTES",
    "DISTWQ_STACK_BYTES",
    "DISTWQ_SEED",
    "DISTWQ_HANDSHAKE_LIMIT_MS",
    "DISTWQ_COLLECTIVE_GRACE_MS",
    "DISTWQ_SHUTDOWN_GRACE_MS",
    "DISTWQ_STUCK_GRACE_MS",
    "DISTWQ_TIME_LIMIT_MS",
    "DISTWQ_INIT_LIMIT_MS",
    "DISTWQ_FINISH_LIMIT_MS",
    "DISTWQ_QUEUE_MAX",
    "DISTWQ_QUEUE_BYTES_MAX",
    "DISTWQ_HANDLE_SIGNALS",
    "DISTWQ_MPI_THREAD_MULTIPLE",
    "DISTWQ_PROGRESS",
    "DISTWQ_FORWARD_LOGS",
];

/// Those of [`testing`](crate::testing), beside what begins with `DISTWQ_TEST_`.
const OF_TESTS: [&str; 2] = ["DISTWQ_MPIRUN", "DISTWQ_LAUNCH_ID"];

/// Says of each variable of the environment that looks like one of distwq, but is none,
/// that it means nothing.
pub(crate) fn unknown_variables() -> impl Iterator<Item = String> {
    unknown_among(std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()))
}

fn unknown_among(names: impl Iterator<Item = String>) -> impl Iterator<Item = String> {
    let unknown = names.filter(|name| {
        let known = VARIABLES.iter().chain(&OF_TESTS).any(|known| known == name);
        name.starts_with("DISTWQ_") && !known && !name.starts_with("DISTWQ_TEST_")
    });
    unknown.map(|name| format!("the variable {name} means nothing; the settings are {}", VARIABLES.join(", ")))
}

struct Reader<'a>(&'a dyn Fn(&'static str) -> Option<String>);

impl Reader<'_> {
    fn number<T: std::str::FromStr>(&self, variable: &'static str, set: impl FnOnce(T)) -> Result<(), ConfigError> {
        let Some(value) = self.0(variable) else {
            return Ok(());
        };
        let number = value.trim().parse().map_err(|_| ConfigError::Variable {
            variable,
            value,
            expected: "a whole number that fits",
        })?;
        set(number);
        Ok(())
    }

    fn switch(&self, variable: &'static str, into: &mut bool) -> Result<(), ConfigError> {
        let Some(value) = self.0(variable) else {
            return Ok(());
        };
        *into = match value.trim() {
            "0" => false,
            "1" => true,
            _ => return Err(ConfigError::Variable { variable, value, expected: "0 or 1" }),
        };
        Ok(())
    }

    fn word<T: Copy>(
        &self,
        variable: &'static str,
        words: &[(&str, T)],
        expected: &'static str,
        into: &mut T,
    ) -> Result<(), ConfigError> {
        let Some(value) = self.0(variable) else {
            return Ok(());
        };
        match words.iter().find(|(word, _)| *word == value.trim()) {
            Some((_, meant)) => *into = *meant,
            None => return Err(ConfigError::Variable { variable, value, expected }),
        }
        Ok(())
    }

    fn milliseconds(&self, variable: &'static str, into: &mut Duration) -> Result<(), ConfigError> {
        self.number(variable, |value| *into = Duration::from_millis(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(pairs: &'static [(&str, &str)]) -> Result<Config, ConfigError> {
        Config::new().workers(3).with_variables(|name| {
            let found = pairs.iter().find(|(key, _)| *key == name)?;
            Some(found.1.to_owned())
        })
    }

    #[test]
    fn variables_win_over_the_code() {
        let config = with(&[("DISTWQ_WORKERS", "5"), ("DISTWQ_SHUTDOWN_GRACE_MS", "20")]);
        let expected = Config::new().workers(5).shutdown_grace(Duration::from_millis(20));
        assert_eq!(config, Ok(expected));
    }

    #[test]
    fn a_variable_that_means_nothing_is_named() {
        let read = std::cell::RefCell::new(Vec::new());
        let config = Config::new().with_variables(|name| {
            read.borrow_mut().push(name);
            None
        });
        assert_eq!((config, read.into_inner()), (Ok(Config::new()), VARIABLES.to_vec()));

        let others = ["DISTWQ_TEST_RANKS", "DISTWQ_MPIRUN", "PATH", "DISTWQ_WORKERS_"];
        let names = VARIABLES.into_iter().chain(others).map(str::to_owned);
        let said: Vec<String> = unknown_among(names).collect();
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(said[0].contains("DISTWQ_WORKERS_ means nothing"), "{said:?}");
    }

    #[test]
    fn a_variable_that_is_no_number_is_named() {
        let error = with(&[("DISTWQ_SLOTS", "many")]).expect_err("it is no number");
        assert!(error.to_string().contains("DISTWQ_SLOTS=\"many\""), "{error}");
    }

    #[test]
    fn a_switch_is_0_or_1() {
        assert_eq!(
            with(&[("DISTWQ_MPI_THREAD_MULTIPLE", "1")]),
            Ok(Config::new().workers(3).mpi_thread_multiple(true))
        );
        assert_eq!(with(&[("DISTWQ_MPI_THREAD_MULTIPLE", "0")]), Ok(Config::new().workers(3)));
        let error = with(&[("DISTWQ_MPI_THREAD_MULTIPLE", "yes")]).expect_err("it is neither");
        assert_eq!(error.to_string(), "DISTWQ_MPI_THREAD_MULTIPLE=\"yes\" is not 0 or 1");
    }

    #[test]
    fn the_style_of_progress_is_one_of_four_words() {
        assert_eq!(with(&[("DISTWQ_PROGRESS", "lines")]), Ok(Config::new().workers(3).progress(ProgressStyle::Lines)));
        let error = with(&[("DISTWQ_PROGRESS", "dots")]).expect_err("it is no style");
        assert_eq!(error.to_string(), "DISTWQ_PROGRESS=\"dots\" is not auto, bar, lines or off");
    }

    #[test]
    fn what_is_out_of_range_is_refused() {
        assert!(with(&[("DISTWQ_WORKERS", "0")]).is_err());
        assert!(with(&[("DISTWQ_PIECE_BYTES", "63")]).is_err());
        assert!(with(&[("DISTWQ_PIECE_BYTES", "64")]).is_ok());
        assert!(with(&[("DISTWQ_SHUTDOWN_GRACE_MS", "31536000000")]).is_ok());
        let error = Config::new().shutdown_grace(Duration::MAX).checked().expect_err("no deadline can be that late");
        assert!(error.to_string().contains("shutdown_grace_ms (DISTWQ_SHUTDOWN_GRACE_MS) is"), "{error}");
    }

    #[test]
    fn the_controller_is_counted_from_either_end() {
        assert_eq!(Config::new().controller_rank(4), Ok(0));
        assert_eq!(Config::new().controller(-1).controller_rank(4), Ok(3));
        assert!(Config::new().controller(4).controller_rank(4).is_err());
    }
}
