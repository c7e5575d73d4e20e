//! Messages are read from the slice that they arrived in.
//!
//! tonic keeps what it received in one piece, and hands it out as if it were many: of a message of ten thousand short
//! fields, asking for the next piece costs as much as reading it.

use std::marker::PhantomData;

use prost::Message;
use prost::bytes::Buf as _;
use tonic::Status;
use tonic::codec::{Codec, DecodeBuf, Decoder};
use tonic_prost::ProstEncoder;

use crate::convert::Listed;
use crate::pb;

/// As [`tonic_prost::ProstCodec`], on the wire and in its errors.
#[derive(Debug)]
pub struct SliceCodec<T, U>(PhantomData<(T, U)>);

impl<T, U> Default for SliceCodec<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> Codec for SliceCodec<T, U>
where
    T: Message + Send + 'static,
    U: Message + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = ProstEncoder<T>;
    type Decoder = SliceDecoder<U>;

    fn encoder(&mut self) -> Self::Encoder {
        ProstEncoder::default()
    }

    fn decoder(&mut self) -> Self::Decoder {
        SliceDecoder(PhantomData)
    }
}

/// The reading half.
#[derive(Debug)]
pub struct SliceDecoder<U>(PhantomData<U>);

impl<U: Message + Default> Decoder for SliceDecoder<U> {
    type Item = U;
    type Error = Status;

    fn decode(&mut self, arrived: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        let (whole, length) = (arrived.chunk(), arrived.remaining());
        let message = if whole.len() == length {
            let message = U::decode(whole);
            arrived.advance(length);
            message
        } else {
            U::decode(arrived)
        };
        message.map(Some).map_err(|error| Status::internal(error.to_string()))
    }
}

/// `ListAgents` as its caller wants it: the answer's bytes become the views, without messages in between. It is what every
/// `fleet ps` waits for.
#[derive(Debug, Default)]
pub struct ListingCodec;

impl ListingCodec {
    /// The call whose answers it reads.
    pub const PATH: &'static str = "/fleet.v1.FleetService/ListAgents";
}

impl Codec for ListingCodec {
    type Encode = pb::ListAgentsRequest;
    type Decode = Listed;
    type Encoder = ProstEncoder<pb::ListAgentsRequest>;
    type Decoder = Self;

    fn encoder(&mut self) -> Self::Encoder {
        ProstEncoder::default()
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Decoder for ListingCodec {
    type Item = Listed;
    type Error = Status;

    fn decode(&mut self, arrived: &mut DecodeBuf<'_>) -> Result<Option<Listed>, Status> {
        // Nothing is copied: it arrived in one piece.
        let bytes = arrived.copy_to_bytes(arrived.remaining());
        Listed::read(&bytes).map(Some).map_err(|error| Status::internal(error.to_string()))
    }
}
