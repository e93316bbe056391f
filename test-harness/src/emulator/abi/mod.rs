//! Host calls, one family a file. Each reads its arguments from the guest, works on the VM's state, and answers a status.

pub mod buffers;
pub mod calls;
pub mod expressions;
pub mod foreign;
pub mod grpc;
pub mod headers;
pub mod lifecycle;
pub mod logging;
pub mod metrics;
pub mod properties;
pub mod queues;
pub mod shared_data;
pub mod signature;
pub mod streams;
pub mod timers;
