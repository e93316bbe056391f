//! The note that a dying VM left becomes an event, once a proxy: the time of the newest note taken is shared.

use launchgate_sdk::last_words::{self, LastWords};
use launchgate_sdk::{RootContext, State};

use crate::codec::{Reader, Writer};
use crate::event;
use crate::failure::{self, Failure};
use crate::merge::new_id;
use crate::metrics;
use crate::policy::{Errors, Tag};
use crate::rate_limit::Category;
use crate::sender::Item;

const TAKEN: &str = "last_words";
const VERSION: u8 = 1;

/// Creates the shared value if it is absent.
pub(crate) fn prepare(state: &mut State<'_>) {
    state.update(TAKEN, |old| old.is_none().then(|| taken_until(0)));
}

fn taken_until(at: u64) -> Vec<u8> {
    let mut writer = Writer::new(VERSION);
    writer.u64(at);
    writer.finish()
}

impl Errors {
    /// A dying VM leaves one note for all plugins that share the key space; the newest counts.
    pub(crate) fn read_last_words(&mut self, cx: &mut RootContext<'_, Tag>) {
        let Some((bytes, _)) = cx.ports.shared(last_words::KEY) else {
            return;
        };
        let Some(words) = LastWords::decode(&bytes) else {
            return;
        };
        let at = words.at.nanos();
        let known = |bytes: &[u8]| {
            Reader::new(bytes, VERSION)
                .and_then(|mut reader| reader.u64())
                .unwrap_or(0)
        };
        let taken = cx.state().update(TAKEN, |old| {
            (old.map_or(0, known) < at).then(|| taken_until(at))
        });
        if taken.is_none() {
            return;
        }
        let failure = Failure::panic(&words);
        let tags = event::tags(&failure, &self.settings.identity);
        let digest = failure::digest(&failure.fingerprint);
        let id = new_id(cx);
        let counter = cx
            .metrics
            .counter(&metrics::FAILURES, &[failure.kind.as_str().as_bytes()]);
        cx.fx.count(counter);
        let payload = event::bare(&id, &failure, &tags, &self.settings.identity, words.at);
        let is_kept = self.settings.sentry.is_some();
        if let Some(group) = self.pending.group(digest, &failure, &tags) {
            group.count += 1;
            group.kept += u64::from(is_kept);
        }
        if is_kept {
            self.pending.keep(
                digest,
                Item {
                    category: Category::Error,
                    id,
                    trace: None,
                    payload: payload.to_string().into_bytes(),
                },
            );
        }
    }
}
