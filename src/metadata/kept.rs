//! Records of a log that nothing here acts on yet. They are kept, so that a snapshot says all that the log said.

use super::record::MetadataRecord;
use std::sync::Arc;

/// The newest record of each thing: a later one of the same thing takes its place.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Kept(imbl::OrdMap<Thing, Arc<MetadataRecord>>);

/// What a record is about, by the fields that name it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Thing {
    Controller(i32),
    ClientQuota {
        /// Types and names, sorted: their order means nothing.
        entity: Vec<(String, Option<String>)>,
        key: String,
    },
    AccessControlEntry([u8; 16]),
    ScramCredential {
        user: String,
        mechanism: i8,
    },
    DelegationToken(String),
}

impl Kept {
    /// Keeps `record`, or forgets what it removes.
    pub(super) fn apply(&mut self, record: &MetadataRecord) {
        let (thing, is_removal) = match record {
            MetadataRecord::RegisterController(it) => (Thing::Controller(it.controller_id), false),
            MetadataRecord::ClientQuota(it) => {
                let mut entity: Vec<_> = (it.entity.iter())
                    .map(|part| {
                        let name = part.entity_name.as_deref().map(str::to_owned);
                        (part.entity_type.to_string(), name)
                    })
                    .collect();
                entity.sort();
                let key = it.key.to_string();
                (Thing::ClientQuota { entity, key }, it.remove)
            }
            MetadataRecord::AccessControlEntry(it) => {
                (Thing::AccessControlEntry(*it.id.as_bytes()), false)
            }
            MetadataRecord::RemoveAccessControlEntry(it) => {
                (Thing::AccessControlEntry(*it.id.as_bytes()), true)
            }
            MetadataRecord::UserScramCredential(it) => (scram(&it.name, it.mechanism), false),
            MetadataRecord::RemoveUserScramCredential(it) => (scram(&it.name, it.mechanism), true),
            MetadataRecord::DelegationToken(it) => {
                (Thing::DelegationToken(it.token_id.to_string()), false)
            }
            MetadataRecord::RemoveDelegationToken(it) => {
                (Thing::DelegationToken(it.token_id.to_string()), true)
            }
            _ => return,
        };
        if is_removal {
            self.0.remove(&thing);
        } else {
            self.0.insert(thing, Arc::new(record.clone()));
        }
    }

    pub(super) fn records(&self) -> impl Iterator<Item = MetadataRecord> {
        self.0.values().map(|record| (**record).clone())
    }
}

fn scram(user: &str, mechanism: i8) -> Thing {
    Thing::ScramCredential {
        user: user.to_owned(),
        mechanism,
    }
}
