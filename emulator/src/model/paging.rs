//! One page of a list, as GitHub cuts it.

/// What a page holds when nothing is asked for.
const PER_PAGE_DEFAULT: usize = 30;
/// The most that one page holds, whatever is asked for.
pub const PER_PAGE_MAX: usize = 100;

/// Which part of a list is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageRequest {
    /// The page's number; the first is 1.
    pub number: usize,
    /// How many items a page holds, 1 to [`PER_PAGE_MAX`].
    pub per_page: usize,
}

impl PageRequest {
    /// What GitHub makes of `page` and `per_page`: absent and zero mean the default, too many mean
    /// the most there can be.
    pub fn new(number: Option<usize>, per_page: Option<usize>) -> Self {
        let per_page = per_page
            .filter(|&count| count > 0)
            .unwrap_or(PER_PAGE_DEFAULT);
        Self {
            number: number.unwrap_or(1).max(1),
            per_page: per_page.min(PER_PAGE_MAX),
        }
    }

    /// Cuts this page out of the whole list.
    pub fn cut<T>(self, all: impl ExactSizeIterator<Item = T>) -> Page<T> {
        let total_count = all.len();
        let skipped = (self.number - 1).saturating_mul(self.per_page);
        Page {
            items: all.skip(skipped).take(self.per_page).collect(),
            total_count,
            request: self,
        }
    }
}

/// A part of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// What is on this page; nothing if it lies beyond the end.
    pub items: Vec<T>,
    /// How long the whole list is.
    pub total_count: usize,
    /// Which page this is.
    pub request: PageRequest,
}

impl<T> Page<T> {
    /// The number of the last page; 1 for an empty list.
    pub fn last_number(&self) -> usize {
        self.total_count.div_ceil(self.request.per_page).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_brought_into_range() {
        for (number, per_page, expected) in [
            (None, None, (1, 30)),
            (Some(0), Some(0), (1, 30)),
            (Some(3), Some(7), (3, 7)),
            (Some(2), Some(100), (2, 100)),
            (Some(2), Some(101), (2, 100)),
            (Some(usize::MAX), Some(usize::MAX), (usize::MAX, 100)),
        ] {
            let request = PageRequest::new(number, per_page);
            assert_eq!((request.number, request.per_page), expected);
        }
    }

    #[test]
    fn pages_together_are_the_list_and_beyond_it_is_nothing() {
        for (total_count, per_page, number, expected, last) in [
            (5, 2, 1, vec![0, 1], 3),
            (5, 2, 3, vec![4], 3),
            (5, 2, 4, vec![], 3),
            (4, 2, 2, vec![2, 3], 2),
            (0, 2, 1, vec![], 1),
            (5, 2, usize::MAX, vec![], 3),
        ] {
            let page = PageRequest::new(Some(number), Some(per_page)).cut(0..total_count);
            assert_eq!(page.items, expected);
            assert_eq!((page.total_count, page.last_number()), (total_count, last));
        }
    }
}
