//! Chat templates of real models against what Jinja2 renders with Hugging Face's settings.

use gabion::text::{ChatTemplate, ControlTexts, Segment, TemplateValue};
use gabion_tests::shared;
use serde_json::Value;

/// 2025-01-02, the day of the expected texts.
const NOW: i64 = 1_735_776_000;

fn template_value(json: &Value) -> TemplateValue {
    match json {
        Value::Null => TemplateValue::None,
        Value::Bool(v) => TemplateValue::Bool(*v),
        Value::Number(v) => v.as_i64().map_or_else(|| TemplateValue::Float(v.as_f64().unwrap()), TemplateValue::Int),
        Value::String(v) => TemplateValue::Str(v.clone()),
        Value::Array(v) => TemplateValue::List(v.iter().map(template_value).collect()),
        Value::Object(v) => TemplateValue::Map(entries(v)),
    }
}

fn entries(map: &serde_json::Map<String, Value>) -> Vec<(String, TemplateValue)> {
    map.iter().map(|(key, value)| (key.clone(), template_value(value))).collect()
}

fn text(segments: &[Segment]) -> String {
    segments.iter().map(|segment| segment.text.as_str()).collect()
}

struct Case {
    name: String,
    template: ChatTemplate,
    variables: Vec<(String, TemplateValue)>,
    /// `None`: Jinja2 refuses.
    expected: Option<String>,
}

fn cases() -> Option<Vec<Case>> {
    let path = shared("templates/expected.json")?;
    let file: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let object = |value: &Value| value.as_object().unwrap().clone();
    let mut cases = Vec::new();
    for (template, results) in object(&file["expected"]) {
        let source = std::fs::read_to_string(path.with_file_name(&template)).unwrap();
        for (conversation, result) in object(&results) {
            let mut variables = entries(&object(&file["globals"]));
            variables.extend(entries(&object(&file["cases"][&conversation])));
            cases.push(Case {
                name: format!("{template} / {conversation}"),
                template: ChatTemplate::new(&source).unwrap_or_else(|e| panic!("{template}: {e}")),
                variables,
                expected: result["ok"].as_str().map(str::to_owned),
            });
        }
    }
    Some(cases)
}

fn render(case: &Case) -> Result<Vec<Segment>, gabion::Error> {
    case.template.render_values(&ControlTexts::new([]).unwrap(), &case.variables, Some(NOW))
}

/// What differs from Jinja2; where Jinja2 refuses, anything goes.
fn differences(cases: &[Case]) -> Vec<String> {
    let mut wrong = Vec::new();
    for case in cases {
        let got = render(case).map(|segments| text(&segments));
        match (&case.expected, got) {
            (None, got) => {
                let here = got.map_or_else(|error| error.to_string(), |_| "it renders".into());
                eprintln!("{}: Jinja2 refuses; here {here}", case.name);
            }
            (Some(want), Ok(got)) if *want == got => {}
            (Some(want), Ok(got)) => {
                let same = want.chars().zip(got.chars()).take_while(|(a, b)| a == b).count();
                let near = |s: &str| s.chars().skip(same.saturating_sub(40)).take(120).collect::<String>();
                wrong.push(format!("{}\n  want ..{:?}\n  got  ..{:?}", case.name, near(want), near(&got)));
            }
            (Some(_), Err(error)) => wrong.push(format!("{}: {error}", case.name)),
        }
    }
    wrong
}

#[test]
fn every_template_renders_as_jinja2_does() {
    let Some(cases) = cases() else { return };
    assert_eq!(cases.len(), 34 * 4);
    assert_eq!(cases.iter().filter(|case| case.expected.is_some()).count(), 122);
    let wrong = differences(&cases);
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn the_comparison_notices_one_changed_character() {
    let Some(mut cases) = cases() else { return };
    let expected = cases.iter_mut().find_map(|case| case.expected.as_mut()).unwrap();
    *expected = expected.replacen('e', "E", 1);
    assert_eq!(differences(&cases).len(), 1);
}
