//! What a worker saw since its last tick: failures by fingerprint, and the first events of each, built where they happened.
//!
//! Bounded: so many fingerprints, so many events of each, so many bytes in all. What is beyond is only counted.

use launchgate_sdk::map::{Map, Set};

use crate::failure::Failure;
use crate::sender::Item;

/// Failures with the same fingerprint.
#[derive(Debug)]
pub(crate) struct Group {
    /// The first of them.
    pub failure: Failure,
    /// Its tags.
    pub tags: Map<String, String>,
    /// All of them.
    pub count: u64,
    /// Those not sampled out.
    pub kept: u64,
    /// Events that could be sent.
    pub events: Vec<Item>,
    /// Hashes of users.
    pub users: Set<u64>,
    /// Failures that match, by alert.
    pub matched: Map<usize, u64>,
}

/// All groups.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    groups: Map<u64, Group>,
    bytes: usize,
}

const GROUPS: usize = 256;
/// Most users that a group keeps: as many as the largest `unique_users` alert counts.
const USERS: usize = 100;

impl Pending {
    /// The group of a fingerprint; `None` where there are too many.
    pub(crate) fn group(
        &mut self,
        digest: u64,
        failure: &Failure,
        tags: &Map<String, String>,
    ) -> Option<&mut Group> {
        if self.groups.len() >= GROUPS && !self.groups.contains_key(&digest) {
            return None;
        }
        Some(self.groups.or_insert_with(digest, || Group {
            failure: failure.clone(),
            tags: tags.clone(),
            count: 0,
            kept: 0,
            events: Vec::new(),
            users: Set::new(),
            matched: Map::new(),
        }))
    }

    /// Whether one more event of a group would be kept.
    pub(crate) fn has_room(&self, digest: u64, burst: u32, bytes: usize) -> bool {
        let events = self
            .groups
            .get(&digest)
            .map_or(0, |group| group.events.len());
        events < burst as usize && self.bytes < bytes
    }

    /// Keeps an event.
    pub(crate) fn keep(&mut self, digest: u64, item: Item) {
        if let Some(group) = self.groups.get_mut(&digest) {
            self.bytes += item.payload.len();
            group.events.push(item);
        }
    }

    /// Puts back a group whose merge was put off.
    pub(crate) fn restore(&mut self, digest: u64, group: Group) {
        self.bytes += group
            .events
            .iter()
            .map(|item| item.payload.len())
            .sum::<usize>();
        self.groups.insert(digest, group);
    }

    /// Takes all groups.
    pub(crate) fn take(&mut self) -> Map<u64, Group> {
        self.bytes = 0;
        std::mem::take(&mut self.groups)
    }
}

impl Group {
    /// Notes a user, as far as there is room.
    pub(crate) fn note_user(&mut self, user: u64) {
        if self.users.len() < USERS {
            self.users.insert(user);
        }
    }
}
