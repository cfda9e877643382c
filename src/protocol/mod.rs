//! (not built yet)
pub type Text = String;
