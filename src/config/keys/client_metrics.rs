//! Keys of a subscription of clients' metrics (KIP-714).

use super::Allowed::{Any, Distinct};
use super::Kind::{Int, List};
use super::Scope::ClientMetrics;
use super::Status::NotYet;
use super::{Key, key};

#[rustfmt::skip]
pub(super) const KEYS: &[Key] = &[
    key("interval.ms", Int, Some("300000"), Any, ClientMetrics, NotYet,
        "How often clients push their metrics; from 100 to 3600000."),
    key("match", List, Some(""), Distinct { empty: true }, ClientMetrics, NotYet,
        "Which clients are asked, as name=pattern; empty for all."),
    key("metrics", List, Some(""), Distinct { empty: true }, ClientMetrics, NotYet,
        "Prefixes of the metrics that are asked for; * for all, empty for none."),
];
