//! What a screen reader is told of a page.

use serde_json::{Value, json};

use crate::driver::Browser;

/// The nodes of the accessibility tree that are told of, in their order.
pub fn nodes(browser: &Browser) -> Vec<Value> {
    let tree = browser.devtools("Accessibility.getFullAXTree", json!({}));
    let nodes = tree["nodes"].as_array().unwrap();
    nodes
        .iter()
        .filter(|node| node["ignored"] != true)
        .cloned()
        .collect()
}

/// The nodes of a role.
pub fn with_role<'a>(nodes: &'a [Value], role: &'a str) -> impl Iterator<Item = &'a Value> {
    nodes
        .iter()
        .filter(move |node| node["role"]["value"] == role)
}

fn name(node: &Value) -> &str {
    node["name"]["value"].as_str().unwrap_or_default().trim()
}

/// Every control and picture has a name, there is one main part and a navigation, and headings go
/// down one level at a time.
pub fn check(page: &str, nodes: &[Value]) {
    const NAMED: &[&str] = &[
        "button",
        "link",
        "textbox",
        "searchbox",
        "checkbox",
        "combobox",
        "DisclosureTriangle",
        "image",
        "navigation",
        "complementary",
        "region",
        "dialog",
    ];
    for node in nodes {
        let role = node["role"]["value"].as_str().unwrap_or_default();
        assert!(
            !NAMED.contains(&role) || !name(node).is_empty(),
            "{page}: a {role} without a name: {node}"
        );
    }
    assert_eq!(with_role(nodes, "main").count(), 1, "{page}");
    assert!(
        with_role(nodes, "navigation").any(|node| name(node) == "Main"),
        "{page}"
    );
    assert!(with_role(nodes, "banner").count() == 1, "{page}");
    let levels: Vec<i64> = with_role(nodes, "heading")
        .map(|node| {
            assert!(!name(node).is_empty(), "{page}: a heading without words");
            let level = |p: &&Value| p["name"] == "level";
            let properties = node["properties"].as_array().unwrap();
            properties.iter().find(level).unwrap()["value"]["value"]
                .as_i64()
                .unwrap()
        })
        .collect();
    assert_eq!(levels.first(), Some(&1), "{page}: {levels:?}");
    assert_eq!(
        levels.iter().filter(|level| **level == 1).count(),
        1,
        "{page}: {levels:?}"
    );
    let steps = levels.windows(2).all(|pair| pair[1] <= pair[0] + 1);
    assert!(steps, "{page}: a level is left out: {levels:?}");
    for table in with_role(nodes, "table") {
        let id = &table["nodeId"];
        assert!(
            !id.is_null()
                && with_role(nodes, "columnheader").count() + with_role(nodes, "rowheader").count()
                    > 0,
            "{page}: a table without headers"
        );
    }
}

/// Texts whose contrast is below 4.5 (3 for large ones), with what it is.
pub const CONTRAST: &str = r#"
const channel = c => { c /= 255; return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4; };
const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
const read = text => { const n = text.match(/[\d.]+/g).map(Number); return n.length === 4 ? n : [...n, 1]; };
const ground = e => {
  for (; e; e = e.parentElement) { const c = read(getComputedStyle(e).backgroundColor); if (c[3] === 1) return c; }
  return [255, 255, 255, 1];
};
const poor = [];
for (const e of document.querySelectorAll("body *")) {
  if (![...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim()) || !e.checkVisibility() || e.closest("svg, .sr")) continue;
  const style = getComputedStyle(e);
  const [a, b] = [light(read(style.color)), light(ground(e))].sort((x, y) => y - x);
  const contrast = (a + 0.05) / (b + 0.05);
  const large = parseFloat(style.fontSize) >= 24 || (parseFloat(style.fontSize) >= 18.66 && style.fontWeight >= 700);
  if (contrast < (large ? 3 : 4.5)) poor.push(`${contrast.toFixed(2)} ${e.outerHTML.slice(0, 100)}`);
}
return [...new Set(poor)].slice(0, 10);
"#;
