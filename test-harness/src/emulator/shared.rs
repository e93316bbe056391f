//! State that all VMs of the process share: shared data and queues.
//!
//! 1. Shared data is keyed by VM id and key. `cas` 0 writes always. On an absent key any `cas` is ignored.
//! 2. The `cas` of a value comes from one process-wide counter that starts at 1.
//! 3. A null value is the empty value: nothing can be removed.
//! 4. Queue ids are process-wide from 1. The last to register a queue is told, once for each message.

use std::collections::{BTreeMap, VecDeque};

use super::status::Status;

/// Shared data of the process.
#[derive(Debug, Clone, Default)]
pub struct SharedData {
    values: BTreeMap<(String, Vec<u8>), (Vec<u8>, u32)>,
    last_cas: u32,
}

impl SharedData {
    /// Value and `cas`.
    pub fn get(&self, vm_id: &str, key: &[u8]) -> Option<(&[u8], u32)> {
        self.values
            .get(&(vm_id.to_owned(), key.to_vec()))
            .map(|(value, cas)| (value.as_slice(), *cas))
    }

    /// Writes; a `cas` that is neither 0 nor the present one of a present key is a mismatch.
    pub fn set(&mut self, vm_id: &str, key: &[u8], value: Vec<u8>, cas: u32) -> Status {
        let place = (vm_id.to_owned(), key.to_vec());
        if let Some((_, present)) = self.values.get(&place)
            && cas != 0
            && cas != *present
        {
            return Status::CasMismatch;
        }
        self.last_cas += 1;
        self.values.insert(place, (value, self.last_cas));
        Status::Ok
    }

    /// All values of a VM id.
    pub fn of(&self, vm_id: &str) -> BTreeMap<Vec<u8>, Vec<u8>> {
        let of_vm = self.values.iter().filter(|((id, _), _)| id == vm_id);
        of_vm
            .map(|((_, key), (value, _))| (key.clone(), value.clone()))
            .collect()
    }
}

/// Queues of the process; `T` is who is told.
#[derive(Debug)]
pub struct Queues<T> {
    ids: BTreeMap<(String, Vec<u8>), u32>,
    queues: BTreeMap<u32, (VecDeque<Vec<u8>>, T)>,
}

impl<T> Default for Queues<T> {
    fn default() -> Self {
        Queues {
            ids: BTreeMap::new(),
            queues: BTreeMap::new(),
        }
    }
}

impl<T: Clone> Queues<T> {
    /// Registers; the registrant takes over from the one before.
    pub fn register(&mut self, vm_id: &str, name: &[u8], registrant: T) -> u32 {
        let next = u32::try_from(self.ids.len() + 1).unwrap_or(u32::MAX);
        let id = *self
            .ids
            .entry((vm_id.to_owned(), name.to_vec()))
            .or_insert(next);
        match self.queues.get_mut(&id) {
            Some((_, owner)) => *owner = registrant,
            None => {
                self.queues.insert(id, (VecDeque::new(), registrant));
            }
        }
        id
    }

    /// The id of a queue.
    pub fn resolve(&self, vm_id: &str, name: &[u8]) -> Option<u32> {
        self.ids.get(&(vm_id.to_owned(), name.to_vec())).copied()
    }

    /// Adds a message; answers who is to be told.
    pub fn enqueue(&mut self, id: u32, message: Vec<u8>) -> Option<T> {
        let (messages, owner) = self.queues.get_mut(&id)?;
        messages.push_back(message);
        Some(owner.clone())
    }

    /// Takes the oldest message.
    pub fn dequeue(&mut self, id: u32) -> Result<Vec<u8>, Status> {
        let (messages, _) = self.queues.get_mut(&id).ok_or(Status::NotFound)?;
        messages.pop_front().ok_or(Status::Empty)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compare_and_set_is_ignored_on_an_absent_key() {
        let mut shared = SharedData::default();
        assert_eq!(shared.get("vm", b"k1"), None);
        assert_eq!(shared.set("vm", b"k1", b"a".to_vec(), 7), Status::Ok);
        assert_eq!(shared.get("vm", b"k1"), Some((&b"a"[..], 1)));
        assert_eq!(
            shared.set("vm", b"k1", b"b".to_vec(), 999_999),
            Status::CasMismatch
        );
        assert_eq!(shared.set("vm", b"k1", b"c".to_vec(), 0), Status::Ok);
        assert_eq!(shared.get("vm", b"k1"), Some((&b"c"[..], 2)));
        assert_eq!(shared.get("other", b"k1"), None);
    }

    #[test]
    fn the_last_registrant_is_told() {
        let mut queues = Queues::default();
        assert_eq!(queues.register("vm", b"q", 1), 1);
        assert_eq!(queues.register("vm", b"q", 2), 1);
        assert_eq!(queues.resolve("other", b"q"), None);
        assert_eq!(queues.enqueue(1, b"m".to_vec()), Some(2));
        assert_eq!(queues.dequeue(1), Ok(b"m".to_vec()));
        assert_eq!(queues.dequeue(1), Err(Status::Empty));
        assert_eq!(queues.dequeue(9), Err(Status::NotFound));
    }
}
