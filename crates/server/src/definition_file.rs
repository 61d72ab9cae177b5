//! Election files, TOML or JSON, as the JSON members that make a definition. What a field means is not known here.

use serde_json::{Map, Value, json};

/// Reads a file by what it begins with: `{` is JSON, all else TOML. The error says what is wrong, and where.
pub fn read(text: &str) -> Result<Map<String, Value>, String> {
    if text.trim_start().starts_with('{') {
        return match serde_json::from_str(text) {
            Ok(Value::Object(members)) => Ok(members),
            Ok(_) => Err("it is JSON, but not an object such as {\"slug\": …}".to_owned()),
            Err(error) => Err(format!("it is not valid JSON: {error}")),
        };
    }
    from_toml(text)
}

/// A TOML table as JSON members.
pub fn from_toml(text: &str) -> Result<Map<String, Value>, String> {
    let table: toml::Table = toml::from_str(text)
        .map_err(|error| format!("it is not valid TOML\n{}", error.to_string().trim_end()))?;
    table.into_iter().map(|(key, value)| Ok((key.clone(), toml_value(&key, value)?))).collect()
}

/// A TOML value as JSON; a date and time becomes RFC 3339 text and must say its zone.
fn toml_value(field: &str, value: toml::Value) -> Result<Value, String> {
    Ok(match value {
        toml::Value::String(text) => Value::String(text),
        toml::Value::Integer(number) => json!(number),
        toml::Value::Float(_) => {
            return Err(format!("`{field}` must be a whole number or an exact text, not a decimal"));
        }
        toml::Value::Boolean(yes) => Value::Bool(yes),
        toml::Value::Datetime(time) if time.offset.is_some() => Value::String(time.to_string()),
        toml::Value::Datetime(time) => {
            return Err(format!(
                "`{field}` = {time} names no time zone: write 2027-03-01T18:00:00Z or …+01:00"
            ));
        }
        toml::Value::Array(items) => {
            Value::Array(items.into_iter().map(|item| toml_value(field, item)).collect::<Result<_, _>>()?)
        }
        toml::Value::Table(table) => {
            let mut object = Map::new();
            for (key, value) in table {
                let field = format!("{field}.{key}");
                object.insert(key, toml_value(&field, value)?);
            }
            Value::Object(object)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_give_the_same_members() {
        let toml =
            "slug = \"lunch\"\n[closing]\nat = 2027-03-01T18:00:00Z\n[[contest]]\nchoices = [\"A\", \"B\"]\n";
        let json =
            r#"{"slug":"lunch","closing":{"at":"2027-03-01T18:00:00Z"},"contest":[{"choices":["A","B"]}]}"#;
        assert_eq!(read(toml).unwrap(), read(json).unwrap());
    }

    #[test]
    fn what_cannot_be_read_says_where() {
        assert!(read("slug = lunch").unwrap_err().contains("line 1"));
        assert!(read("{\"slug\": }").unwrap_err().contains("line 1"));
        assert!(read("closing.at = 2027-03-01T18:00:00").unwrap_err().starts_with("`closing.at` = "));
        assert!(read("x = 0.5").unwrap_err().starts_with("`x` must be a whole number"));
    }
}
