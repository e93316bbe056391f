//! The policy as its host sees it: one subject a file.

mod configs;
mod control;
mod cookies;
mod outcomes;
mod polls;
mod proxy;
mod rollbacks;
mod rules;
mod steering;
mod users;

use std::time::Duration;

use launchgate_sdk::fake::{self, Host};
use launchgate_sdk::{Attribute, Headers, Member, Reply};

use super::*;
use proxy::{HALF, Proxy, TOKEN, decided, end, end_of, rolled_back, variant};

type Worker = Host<Member<Canary>>;
type Exchange = fake::Exchange<Member<Canary>>;
