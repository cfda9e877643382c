//! Counted checks. A scenario's count is part of its result and must equal the count that Apache
//! Kafka's run of the same client has, so a scenario that stopped looking early cannot pass.

use std::fmt;

/// Why a scenario failed, in one sentence.
#[derive(Debug, Clone)]
pub(crate) struct Failure(pub String);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<String> for Failure {
    fn from(text: String) -> Failure {
        Failure(text)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Failure {
        Failure(format!("input or output failed: {error}"))
    }
}

pub(crate) type Checked<T = ()> = Result<T, Failure>;

/// Counts the checks that held.
#[derive(Debug, Default)]
pub(crate) struct Checks {
    pub(crate) held: u32,
}

impl Checks {
    pub(crate) fn equal<T: PartialEq + fmt::Debug>(
        &mut self,
        what: &str,
        got: T,
        want: T,
    ) -> Checked {
        if got != want {
            return Err(Failure(format!("{what}: got {got:?}, want {want:?}")));
        }
        self.held += 1;
        Ok(())
    }

    pub(crate) fn holds(&mut self, what: &str, held: bool) -> Checked {
        if !held {
            return Err(Failure(format!("{what}: does not hold")));
        }
        self.held += 1;
        Ok(())
    }
}
