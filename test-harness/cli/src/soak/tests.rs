//! The 60-second form, in `make test`.

use std::time::Duration;

use clap::Parser as _;
use launchgate_harness::envoy::workspace;

use super::{Args, soak};

#[derive(clap::Parser)]
struct Cli {
    #[command(flatten)]
    args: Args,
}

#[test]
fn a_minute_of_faults_loses_nothing() {
    let mut args = Cli::parse_from(["soak"]).args;
    args.duration = Duration::from_secs(60);
    args.demo.dist = workspace().join("dist");
    args.demo.bootstraps = workspace().join("envoy-configs/envoy");
    let ledger = soak(&args).unwrap();
    assert_eq!(ledger.broken(), Vec::<String>::new(), "{ledger}");
    assert!(ledger.saw_every_fault(), "{ledger}");
}
