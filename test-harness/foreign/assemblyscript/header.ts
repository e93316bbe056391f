// A plugin in AssemblyScript, on an SDK that knows nothing of this project: a header on each response, another on each request.
export * from "@solo-io/proxy-runtime/proxy";
import {
  Context,
  FilterHeadersStatusValues,
  RootContext,
  registerRootContext,
  stream_context,
} from "@solo-io/proxy-runtime";

class HeaderRoot extends RootContext {
  // The SDK's own traps where there is no configuration, in Envoy and in the emulator alike.
  onConfigure(size: u32): bool {
    return true;
  }

  createContext(id: u32): Context {
    return new Header(id, this);
  }
}

class Header extends Context {
  constructor(id: u32, root: HeaderRoot) {
    super(id, root);
  }

  onRequestHeaders(count: u32, end: bool): FilterHeadersStatusValues {
    stream_context.headers.request.replace("x-seen", stream_context.headers.request.get(":path"));
    return FilterHeadersStatusValues.Continue;
  }

  onResponseHeaders(count: u32, end: bool): FilterHeadersStatusValues {
    stream_context.headers.response.add("x-made-with", "assemblyscript");
    return FilterHeadersStatusValues.Continue;
  }
}

registerRootContext((id: u32) => new HeaderRoot(id), "header");
