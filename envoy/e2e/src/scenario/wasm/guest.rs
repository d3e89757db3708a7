//! The module's memory as host functions see it.

use wasmi::{AsContext, AsContextMut, Caller, Memory};

use super::{State, wire};

/// A fault of the ABI; ends the call with `BadArgument` or `InternalFailure`.
#[derive(Debug)]
pub struct Fault;

/// A host function's access to the module that called it.
pub struct Guest<'a, 'b> {
    caller: &'a mut Caller<'b, State>,
    memory: Memory,
}

impl<'a, 'b> Guest<'a, 'b> {
    /// The calling module.
    ///
    /// # Errors
    /// It exports no memory.
    pub fn new(caller: &'a mut Caller<'b, State>) -> Result<Self, Fault> {
        let memory = caller
            .get_export("memory")
            .and_then(wasmi::Extern::into_memory)
            .ok_or(Fault)?;
        Ok(Guest { caller, memory })
    }

    /// The host's state.
    pub fn state(&mut self) -> &mut State {
        self.caller.data_mut()
    }

    /// Bytes of the module.
    ///
    /// # Errors
    /// Outside of its memory.
    pub fn bytes(&self, at: u32, length: u32) -> Result<Vec<u8>, Fault> {
        let memory = self.memory.data(self.caller.as_context());
        let at = at as usize;
        memory
            .get(at..at + length as usize)
            .map(<[u8]>::to_vec)
            .ok_or(Fault)
    }

    /// Text of the module.
    ///
    /// # Errors
    /// Outside of its memory, or no UTF-8.
    pub fn text(&self, at: u32, length: u32) -> Result<String, Fault> {
        String::from_utf8(self.bytes(at, length)?).map_err(|_| Fault)
    }

    /// Reads a map of texts.
    ///
    /// # Errors
    /// Outside of its memory, no map, or no UTF-8.
    pub fn pairs(&self, at: u32, length: u32) -> Result<Vec<(String, String)>, Fault> {
        let pairs = wire::decode(&self.bytes(at, length)?).ok_or(Fault)?;
        let text = |value: Vec<u8>| String::from_utf8(value).map_err(|_| Fault);
        pairs.into_iter().map(|(n, v)| Ok((n, text(v)?))).collect()
    }

    /// Writes into the module's memory.
    ///
    /// # Errors
    /// Outside of its memory.
    pub fn put(&mut self, at: u32, bytes: &[u8]) -> Result<(), Fault> {
        let memory = self.memory;
        memory
            .write(self.caller.as_context_mut(), at as usize, bytes)
            .map_err(|_| Fault)
    }

    /// Writes a number.
    ///
    /// # Errors
    /// Outside of its memory.
    pub fn put_u32(&mut self, at: u32, value: u32) -> Result<(), Fault> {
        self.put(at, &value.to_le_bytes())
    }

    /// Hands bytes over in memory that the module allocates; where and how many goes to the two
    /// places it named.
    ///
    /// # Errors
    /// The module gives no memory.
    pub fn hand_over(&mut self, bytes: &[u8], at: u32, length: u32) -> Result<(), Fault> {
        let mut place = 0;
        if !bytes.is_empty() {
            let allocate = self.caller.get_export("proxy_on_memory_allocate");
            let allocate = allocate.and_then(wasmi::Extern::into_func).ok_or(Fault)?;
            let allocate = allocate
                .typed::<i32, i32>(self.caller.as_context())
                .map_err(|_| Fault)?;
            let size = i32::try_from(bytes.len()).map_err(|_| Fault)?;
            let got = allocate
                .call(self.caller.as_context_mut(), size)
                .map_err(|_| Fault)?;
            place = got.cast_unsigned();
            self.put(place, bytes)?;
        }
        self.put_u32(at, place)?;
        self.put_u32(length, u32::try_from(bytes.len()).map_err(|_| Fault)?)
    }
}
