//! Access to the children of an XML element.

use xmltree::{Element, XMLNode};

pub fn element_with_text(name: &str, content: &str) -> Element {
    let mut element = Element::new(name);
    element.children.push(XMLNode::Text(content.to_owned()));
    element
}

/// Replaces the content of a child.
pub fn set_text(parent: &mut Element, name: &str, content: &str) {
    child_or_new(parent, name).children = vec![XMLNode::Text(content.to_owned())];
}

pub fn children_named<'a>(
    parent: &'a mut Element,
    name: &'a str,
) -> impl Iterator<Item = &'a mut Element> {
    let elements = parent.children.iter_mut();
    elements
        .filter_map(XMLNode::as_mut_element)
        .filter(move |element| element.name == name)
}

pub fn child_or_new<'a>(parent: &'a mut Element, name: &str) -> &'a mut Element {
    if parent.get_child(name).is_none() {
        parent.children.push(XMLNode::Element(Element::new(name)));
    }
    parent
        .get_mut_child(name)
        .expect("the child exists, or was created above")
}
