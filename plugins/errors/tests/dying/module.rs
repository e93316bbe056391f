//! A plugin that dies of one path, to see what the SDK's hook leaves behind. `make probes` builds it; nothing ships it.

use launchgate_sdk::config::Decode;
use launchgate_sdk::{
    ConfigErrors, Family, Phases, Policy, RequestView, Setup, StreamContext, Verdict,
};

/// The policy.
struct Dying;

/// No keys.
#[derive(Default, Decode)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
struct Config {}

impl Policy for Dying {
    const NAME: &'static str = "dying";
    const VERSION: &'static str = "1.2.3";
    const PHASES: Phases = Phases {
        request: true,
        ..Phases::NONE
    };
    const METRICS: &'static [Family] = &[];
    type Config = Config;
    type Exchange = ();
    type Tag = ();

    fn new(_: Config, _: &mut Setup<'_>) -> Result<Self, ConfigErrors> {
        Ok(Self)
    }

    #[allow(clippy::panic, reason = "it is what this plugin is for")]
    fn on_request(
        &mut self,
        view: &mut RequestView<'_>,
        _: &mut (),
        _: &mut StreamContext<'_>,
    ) -> Verdict {
        if view.headers().path() == b"/die" {
            panic!("of s3cr3t-message");
        }
        Verdict::Continue
    }
}

launchgate_sdk::register!(Dying);
