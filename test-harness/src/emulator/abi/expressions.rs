//! The foreign functions for expressions in CEL.
//!
//! 1. `expr_create` answers a token, `expr_evaluate` takes one and answers a value, `expr_delete` takes one. Tokens are 4 little-endian
//!    bytes; any other length is a bad argument.
//! 2. Expressions belong to the root context. Tokens are counted from 0 and never used again; an expression that parses and does not
//!    compile uses one too.
//! 3. Evaluated is in the context whose callback runs, whatever context the plugin has chosen.
//! 4. An error, or a value that is one, is an internal failure; a value without bytes is a serialisation failure.

use std::rc::Rc;

use crate::emulator::context::Kind;
use crate::emulator::expression::{Expression, Expressions, Refusal};
use crate::emulator::guest::VmState;
use crate::emulator::identifier;
use crate::emulator::memory::{Cx, Fail};
use crate::emulator::status::Status;

/// `expr_create`.
pub fn create(cx: &mut Cx<'_>, text: &[u8]) -> Result<[u8; 4], Fail> {
    let compiled = Expression::compile(text);
    if let Err(Refusal::Syntax) = compiled {
        return Err(Status::BadArgument.into());
    }
    if let Err(Refusal::Message(name)) = compiled {
        let reason = format!("the message {name} in an expression is not there in the emulator");
        return Err(wasmtime::Error::msg(reason).into());
    }
    let token = expressions(cx.state())?.add(compiled.ok());
    Ok(token.ok_or(Status::BadArgument)?.to_le_bytes())
}

/// `expr_evaluate`.
pub fn evaluate(cx: &mut Cx<'_>, token: &[u8]) -> Result<Vec<u8>, Fail> {
    let token = number(token)?;
    let expression = Rc::clone(
        expressions(cx.state())?
            .get(token)
            .ok_or(Status::NotFound)?,
    );
    let state = &*cx.state();
    let value = expression.evaluate(|name| identifier::find(state, state.current, name))?;
    Ok(value.encode()?)
}

/// `expr_delete`: a token that is not known is fine.
pub fn delete(cx: &mut Cx<'_>, token: &[u8]) -> Result<(), Fail> {
    let token = number(token)?;
    expressions(cx.state())?.remove(token);
    Ok(())
}

fn number(token: &[u8]) -> Result<u32, Status> {
    let token = token.try_into().map_err(|_| Status::BadArgument)?;
    Ok(u32::from_le_bytes(token))
}

fn expressions(state: &mut VmState) -> Result<&mut Expressions, Status> {
    let root = state
        .contexts
        .get(&state.current)
        .map(|context| context.root);
    let root = root.and_then(|root| state.contexts.get_mut(&root));
    match root.map(|root| &mut root.kind) {
        Some(Kind::Root(root)) => Ok(&mut root.expressions),
        _ => Err(Status::InternalFailure),
    }
}
