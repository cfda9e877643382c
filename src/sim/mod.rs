//! The simulated world: a disk with crash states and seeded chance.
