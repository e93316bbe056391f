//! The module: one registration line.
launchgate_sdk::register!(launchgate_errors::Errors);
