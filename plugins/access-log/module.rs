//! The module: one registration line.
launchgate_sdk::register!(launchgate_access_log::AccessLog);
