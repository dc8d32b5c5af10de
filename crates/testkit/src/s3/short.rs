//! `s3s-fs` behind shorter keys.
//!
//! S3 takes keys of 1,024 bytes. `s3s-fs` makes one file name of a whole key, which ends at some
//! 150 bytes: less than two digests. Each long digest is cut short on the way in and made whole
//! again in listings; everything else is `s3s-fs` as it is.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use s3s::dto::{
    AbortMultipartUploadInput, AbortMultipartUploadOutput, CompleteMultipartUploadInput,
    CompleteMultipartUploadOutput, CopyObjectInput, CopyObjectOutput, CopySource,
    CreateMultipartUploadInput, CreateMultipartUploadOutput, DeleteObjectsInput,
    DeleteObjectsOutput, GetObjectInput, GetObjectOutput, HeadObjectInput, HeadObjectOutput,
    ListObjectsV2Input, ListObjectsV2Output, PutObjectInput, PutObjectOutput, UploadPartInput,
    UploadPartOutput,
};
use s3s::{S3, S3Request, S3Response, S3Result};
use s3s_fs::FileSystem;

use super::Conditions;

const HASH: usize = 64;
const KEPT: usize = 32;

/// Hashes by what is left of them.
pub(super) type Whole = Arc<Mutex<HashMap<String, String>>>;

pub(super) struct Short {
    inner: FileSystem,
    conditions: Conditions,
    whole: Whole,
}

/// Where `s3s-fs` keeps what has this key.
pub(super) fn short(key: &str) -> String {
    let parts = key.split('/').map(|part| match split(part) {
        Some((before, hash)) => format!("{before}{}", &hash[..KEPT]),
        None => part.to_owned(),
    });
    parts.collect::<Vec<_>>().join("/")
}

/// A hash, and what stands before it.
fn split(part: &str) -> Option<(&str, &str)> {
    let (before, hash) = part.split_at(part.rfind(':').map_or(0, |at| at + 1));
    let is_hash = hash.len() >= HASH && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hash.then_some((before, hash))
}

impl Short {
    pub(super) fn new(inner: FileSystem, conditions: Conditions, whole: Whole) -> Self {
        Self { inner, conditions, whole }
    }

    fn whole(&self) -> MutexGuard<'_, HashMap<String, String>> {
        self.whole.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn shorten(&self, key: &mut String) {
        for (_, hash) in key.split('/').filter_map(split) {
            let known = self.whole().insert(hash[..KEPT].to_owned(), hash.to_owned());
            assert!(known.is_none_or(|known| known == hash), "two digests begin as {hash}");
        }
        *key = short(key);
    }

    fn lengthen(&self, key: &mut String) {
        let whole = self.whole();
        let parts = key.split('/').map(|part| {
            let (before, short) = part.split_at(part.rfind(':').map_or(0, |at| at + 1));
            whole.get(short).map_or_else(|| part.to_owned(), |hash| format!("{before}{hash}"))
        });
        *key = parts.collect::<Vec<_>>().join("/");
    }
}

type Answer<'a, T> = Pin<Box<dyn Future<Output = S3Result<S3Response<T>>> + Send + 'a>>;

/// Operations on one key, as `async_trait` spells them.
macro_rules! of_one_key {
    ($($operation:ident($input:ty) -> $output:ty;)*) => {$(
        fn $operation<'life, 'own>(
            &'life self,
            mut request: S3Request<$input>,
        ) -> Answer<'own, $output>
        where
            'life: 'own,
            Self: 'own,
        {
            self.shorten(&mut request.input.key);
            self.inner.$operation(request)
        }
    )*};
}

impl S3 for Short {
    of_one_key! {
        get_object(GetObjectInput) -> GetObjectOutput;
        head_object(HeadObjectInput) -> HeadObjectOutput;
        create_multipart_upload(CreateMultipartUploadInput) -> CreateMultipartUploadOutput;
        upload_part(UploadPartInput) -> UploadPartOutput;
        complete_multipart_upload(CompleteMultipartUploadInput) -> CompleteMultipartUploadOutput;
        abort_multipart_upload(AbortMultipartUploadInput) -> AbortMultipartUploadOutput;
    }

    fn put_object<'life, 'own>(
        &'life self,
        mut request: S3Request<PutObjectInput>,
    ) -> Answer<'own, PutObjectOutput>
    where
        'life: 'own,
        Self: 'own,
    {
        self.shorten(&mut request.input.key);
        match self.conditions {
            Conditions::Honoured => {}
            Conditions::Ignored => request.input.if_none_match = None,
        }
        self.inner.put_object(request)
    }

    fn copy_object<'life, 'own>(
        &'life self,
        mut request: S3Request<CopyObjectInput>,
    ) -> Answer<'own, CopyObjectOutput>
    where
        'life: 'own,
        Self: 'own,
    {
        self.shorten(&mut request.input.key);
        if let CopySource::Bucket { key, .. } = &mut request.input.copy_source {
            let mut short = key.to_string();
            self.shorten(&mut short);
            *key = short.into();
        }
        self.inner.copy_object(request)
    }

    fn delete_objects<'life, 'own>(
        &'life self,
        mut request: S3Request<DeleteObjectsInput>,
    ) -> Answer<'own, DeleteObjectsOutput>
    where
        'life: 'own,
        Self: 'own,
    {
        for object in &mut request.input.delete.objects {
            self.shorten(&mut object.key);
        }
        self.inner.delete_objects(request)
    }

    fn list_objects_v2<'life, 'own>(
        &'life self,
        mut request: S3Request<ListObjectsV2Input>,
    ) -> Answer<'own, ListObjectsV2Output>
    where
        'life: 'own,
        Self: 'own,
    {
        let input = &mut request.input;
        for key in [&mut input.prefix, &mut input.start_after].into_iter().flatten() {
            self.shorten(key);
        }
        Box::pin(async move {
            let mut answer = self.inner.list_objects_v2(request).await?;
            let found = answer.output.contents.iter_mut().flatten();
            let keys = found.filter_map(|object| object.key.as_mut());
            let directories = answer.output.common_prefixes.iter_mut().flatten();
            for key in keys.chain(directories.filter_map(|found| found.prefix.as_mut())) {
                self.lengthen(key);
            }
            Ok(answer)
        })
    }
}
