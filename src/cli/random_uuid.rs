//! `ottla random-uuid`: a new id, printed.

use super::Failure;
use crate::runtime::Rng;
use crate::runtime::os::OsRng;

pub(super) fn random_uuid() -> Result<(), Failure> {
    println!("{}", OsRng.uuid());
    Ok(())
}
