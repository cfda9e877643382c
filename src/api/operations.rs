//! Bit sets of allowed operations, by `AclOperation` code. Without an authorizer all that apply to a
//! kind of resource are allowed (`AclEntry.supportedOperations`).

const CREATE: i32 = 1 << 5;
const READ: i32 = 1 << 3;
const WRITE: i32 = 1 << 4;
const DELETE: i32 = 1 << 6;
const ALTER: i32 = 1 << 7;
const DESCRIBE: i32 = 1 << 8;
const CLUSTER_ACTION: i32 = 1 << 9;
const DESCRIBE_CONFIGS: i32 = 1 << 10;
const ALTER_CONFIGS: i32 = 1 << 11;
const IDEMPOTENT_WRITE: i32 = 1 << 12;

/// The value that says nobody asked.
pub(super) const NOT_ASKED: i32 = i32::MIN;

pub(super) const TOPIC: i32 =
    READ | WRITE | CREATE | DESCRIBE | DELETE | ALTER | DESCRIBE_CONFIGS | ALTER_CONFIGS;

pub(super) const GROUP: i32 = READ | DESCRIBE | DELETE | DESCRIBE_CONFIGS | ALTER_CONFIGS;

pub(super) const CLUSTER: i32 = CREATE
    | CLUSTER_ACTION
    | DESCRIBE_CONFIGS
    | ALTER_CONFIGS
    | IDEMPOTENT_WRITE
    | ALTER
    | DESCRIBE;
