//! Access to an XML element, its attributes and its children.

use xmltree::{Element, XMLNode};

use crate::hypervisor::error::TemplateError;

pub fn element_with_text(name: &str, content: &str) -> Element {
    let mut element = Element::new(name);
    element.children.push(XMLNode::Text(content.to_owned()));
    element
}

/// Replaces the content of a child.
pub fn set_text(parent: &mut Element, name: &str, content: &str) {
    child_or_new(parent, name).children = vec![XMLNode::Text(content.to_owned())];
}

pub fn attribute<'a>(element: &'a Element, name: &str) -> Option<&'a str> {
    element.attributes.get(name).map(String::as_str)
}

/// Sets an attribute.
pub fn set(element: &mut Element, name: &str, value: &str) {
    element.attributes.insert(name.to_owned(), value.to_owned());
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

/// The error about an element at a path below `domain`. The problem completes "its `…` ".
pub fn refused(place: impl Into<String>, problem: impl Into<String>) -> TemplateError {
    TemplateError::Refused {
        place: place.into(),
        problem: problem.into(),
    }
}
