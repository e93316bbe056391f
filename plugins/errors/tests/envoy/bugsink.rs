//! A real Sentry-compatible server with strict validation; and Sentry's own normaliser and scrubber.
//! Both are Python packages that `make deps` leaves in `.tools/sentry`, pinned by test-harness/deps/sentry.txt.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use launchgate_harness::{bugsink, envoy::workspace};
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(120);
/// Normalises and scrubs each event as Relay does at Sentry's door, and prints what it had to object to.
const JUDGE: &str = "
import copy, json, sys
from sentry_relay import processing as P
scrub = P.convert_datascrubbing_config({'scrubData': True, 'scrubDefaults': True, 'scrubIpAddresses': True, 'sensitiveFields': [], 'excludeFields': []})
for event in json.load(sys.stdin):
    normal = P.StoreNormalizer(project_id=1, remove_other=True).normalize_event(copy.deepcopy(event))
    if normal.get('errors'): print('errors', normal['errors'])
    found = P.pii_strip_event(scrub, copy.deepcopy(normal)).get('_meta')
    if found: print('scrubbed', json.dumps(found))
print('judged')
";

/// A running server with one project.
pub(crate) struct Bugsink(bugsink::Bugsink);

impl Bugsink {
    /// Starts the server on a free port.
    pub(crate) fn start() -> Self {
        Self(bugsink::Bugsink::start(&workspace().join(".tools/sentry")).unwrap())
    }

    /// The DSN of the project, and where the server listens.
    pub(crate) fn entrance(&self) -> (String, SocketAddr) {
        (self.0.dsn(), self.0.address())
    }

    /// The issues, as soon as there are so many.
    pub(crate) fn issues(&self, count: usize) -> Vec<Value> {
        let start = Instant::now();
        loop {
            let issues = self.0.issues().unwrap();
            if issues.len() >= count {
                assert_eq!(issues.len(), count, "{issues:?}");
                return issues;
            }
            assert!(
                start.elapsed() < LIMIT,
                "expected {count} issues: {issues:?}"
            );
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Every event as the server stored it.
    pub(crate) fn events(&self) -> Vec<Value> {
        self.0.events().unwrap()
    }

    /// Gives events to Sentry's normaliser and scrubber: neither finds anything.
    pub(crate) fn judge(&self, events: &[Value]) {
        let given = serde_json::to_string(events).unwrap();
        let verdict = self.0.python(JUDGE, &given).unwrap();
        assert_eq!(verdict, "judged\n", "{given}");
    }
}
