//! One small JSON file of a model folder, read by dotted keys. Every value that does not fit is an error that names file and key.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::ModelError;

/// Configuration files are a few kilobytes; tokenizer.json is never read here.
const MAX_BYTES: u64 = 4 << 20;

pub(super) struct Document {
    path: PathBuf,
    /// Prefix of the keys in error messages; empty for a whole file.
    prefix: String,
    root: Value,
}

impl Document {
    pub(super) fn read(path: &Path) -> Result<Self, ModelError> {
        let failed = |source| ModelError::Read {
            path: path.to_owned(),
            source,
        };
        let mut text = Vec::new();
        File::open(path)
            .and_then(|f| f.take(MAX_BYTES + 1).read_to_end(&mut text))
            .map_err(failed)?;
        if text.len() as u64 > MAX_BYTES {
            return Err(failed(std::io::Error::other("a configuration file of more than 4 MiB")));
        }
        let root: Value = serde_json::from_slice(&text).map_err(|source| ModelError::Json {
            path: path.to_owned(),
            source,
        })?;
        let document = Self {
            path: path.to_owned(),
            prefix: String::new(),
            root,
        };
        if document.root.is_object() {
            Ok(document)
        } else {
            Err(document.refuse("(whole file)", "an object was expected"))
        }
    }

    pub(super) fn refuse(&self, key: &str, reason: impl Into<String>) -> ModelError {
        ModelError::NotUnderstood {
            path: self.path.clone(),
            key: format!("{}{key}", self.prefix),
            reason: reason.into(),
        }
    }

    /// Returns the object at `key` as a document of its own; `None` if there is none.
    pub(super) fn part(&self, key: &str) -> Result<Option<Self>, ModelError> {
        Ok(self.object(key)?.map(|object| Self {
            path: self.path.clone(),
            prefix: format!("{}{key}.", self.prefix),
            root: Value::Object(object.clone()),
        }))
    }

    /// Returns the value at a dotted key; JSON's null counts as absent.
    pub(super) fn value(&self, key: &str) -> Option<&Value> {
        key.split('.')
            .try_fold(&self.root, |value, part| value.get(part))
            .filter(|v| !v.is_null())
    }

    /// Returns the members of the file's object, in the order of their names.
    pub(super) fn keys(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.root.as_object().into_iter().flatten()
    }

    fn typed<T>(&self, key: &str, expected: &str, read: impl FnOnce(&Value) -> Option<T>) -> Result<Option<T>, ModelError> {
        let Some(value) = self.value(key) else { return Ok(None) };
        read(value)
            .map(Some)
            .ok_or_else(|| self.refuse(key, format!("{expected} was expected, found {value}")))
    }

    pub(super) fn object(&self, key: &str) -> Result<Option<&Map<String, Value>>, ModelError> {
        let Some(value) = self.value(key) else { return Ok(None) };
        value
            .as_object()
            .map(Some)
            .ok_or_else(|| self.refuse(key, format!("an object was expected, found {value}")))
    }

    pub(super) fn text(&self, key: &str) -> Result<Option<String>, ModelError> {
        self.typed(key, "a text", |v| v.as_str().map(str::to_owned))
    }

    pub(super) fn flag(&self, key: &str) -> Result<Option<bool>, ModelError> {
        self.typed(key, "true or false", Value::as_bool)
    }

    pub(super) fn number(&self, key: &str) -> Result<Option<f64>, ModelError> {
        self.typed(key, "a number", |v| v.as_f64().filter(|n| n.is_finite()))
    }

    /// Returns a positive length in pixels, tokens or components, below 2^16.
    pub(super) fn length(&self, key: &str) -> Result<Option<u32>, ModelError> {
        self.typed(key, "a whole number from 1 to 65535", length)
    }

    /// Returns one number for each of red, green and blue; the file may give one for all three.
    pub(super) fn channels(&self, key: &str) -> Result<Option<[f32; 3]>, ModelError> {
        self.typed(key, "three numbers", |value| {
            if let Some(number) = value.as_f64() {
                return Some([number as f32; 3]);
            }
            let numbers: Option<Vec<f32>> = value.as_array()?.iter().map(|v| v.as_f64().map(|n| n as f32)).collect();
            let numbers: [f32; 3] = numbers?.try_into().ok()?;
            numbers.iter().all(|n| n.is_finite()).then_some(numbers)
        })
    }

    /// Returns a text that must be present.
    pub(super) fn required_text(&self, key: &str) -> Result<String, ModelError> {
        self.text(key)?.ok_or_else(|| self.refuse(key, "is not there"))
    }

    /// Returns channels that serve as divisors: none may be zero.
    pub(super) fn divisors(&self, key: &str) -> Result<Option<[f32; 3]>, ModelError> {
        match self.channels(key)? {
            Some(values) if values.iter().any(|v| *v <= 0.0) => Err(self.refuse(key, "a standard deviation must be above 0")),
            other => Ok(other),
        }
    }
}

/// Returns `value` as a positive length below 2^16.
pub(super) fn length(value: &Value) -> Option<u32> {
    value.as_u64().filter(|n| (1..=0xffff).contains(n)).map(|n| n as u32)
}
