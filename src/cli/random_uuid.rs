//! `ottla random-uuid`: a new id, printed.

use super::Failure;
use crate::runtime::Rng;
use crate::runtime::os::OsRng;
use crate::types::Uuid;

pub(super) fn random_uuid() -> Result<(), Failure> {
    println!("{}", draw(&OsRng));
    Ok(())
}

/// A new id, drawn until it is none of those that Kafka keeps for itself.
pub(super) fn draw(rng: &dyn Rng) -> Uuid {
    loop {
        let mut bytes = [0; 16];
        rng.fill(&mut bytes);
        if let Some(uuid) = Uuid::from_random(bytes) {
            return uuid;
        }
    }
}
