//! The module: one registration line.
launchgate_sdk::register!(launchgate_canary::Canary);
