//! The module: one registration line.
launchgate_sdk::register!(module launchgate_suite::Suite);
