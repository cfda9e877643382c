//! One type per kind of number, each with the few operations that make sense for it.

use std::fmt;

macro_rules! number {
    ($(#[$meta:meta])* $name:ident($inner:ty)) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $inner);

        impl $name {
            pub const fn get(self) -> $inner {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }
    };
}

number!(
    /// The place of a record in its partition. Never negative in a log; −1 on the wire means "none".
    Offset(i64)
);
number!(
    /// Counts the leaders a partition has had; grows along the log. −1 on the wire means "not known".
    LeaderEpoch(i32)
);
number!(
    /// Milliseconds since 1970-01-01 UTC. −1 on the wire means "none".
    Timestamp(i64)
);
number!(
    /// `node.id` of a broker or controller. Never negative for a real node.
    NodeId(i32)
);
number!(
    /// Handed out by InitProducerId; −1 on the wire means a producer without idempotence.
    ProducerId(i64)
);
number!(
    /// Fences older instances of one producer id. −1 on the wire means "none".
    ProducerEpoch(i16)
);

impl Offset {
    pub const ZERO: Offset = Offset(0);

    pub const fn next(self) -> Offset {
        Offset(self.0 + 1)
    }

    pub const fn plus(self, count: i64) -> Offset {
        Offset(self.0 + count)
    }
}

impl LeaderEpoch {
    pub const NONE: LeaderEpoch = LeaderEpoch(-1);
}

impl Timestamp {
    pub const NONE: Timestamp = Timestamp(-1);

    /// `self` later by `ms`, or the end of time.
    pub const fn plus_ms(self, ms: i64) -> Timestamp {
        Timestamp(self.0.saturating_add(ms))
    }

    /// Milliseconds from `earlier` to `self`; negative if `self` is the earlier one.
    pub const fn ms_since(self, earlier: Timestamp) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl ProducerId {
    pub const NONE: ProducerId = ProducerId(-1);
}

impl ProducerEpoch {
    pub const NONE: ProducerEpoch = ProducerEpoch(-1);
}
