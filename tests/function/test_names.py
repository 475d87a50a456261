"""Contract section 3: the forms in which people paste ids and addresses, and what is none of them."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.names import Name, compared, read, shown

ANA, BO = (f"{digit * 8}-0000-4000-8000-000000000000" for digit in "ab")
ANA_AT, BO_AT = Name("email", "ana@example.com"), Name("email", "bo@example.com")


@pytest.mark.parametrize(
    "text",
    [
        "ana@example.com, bo@example.com",
        "ana@example.com; bo@example.com",
        "ana@example.com;bo@example.com;",
        "ana@example.com bo@example.com",
        "ana@example.com\tbo@example.com",
        "ana@example.com\nbo@example.com\n",
        "ana@example.com\r\nbo@example.com\r\n",
        "ana@example.com\u2028bo@example.com",
        "ana@example.com\u00a0bo@example.com",
        "\u00a0ana@example.com,\u202f bo@example.com\u3000",
        "\ufeffana@example.com, bo@example.com",
        "ana@example.com\u200b, \u200ebo@example.com\u200f",
        "ana@exam\u00adple.com, \u202abo@\u2060example.com\u202c",
        "ana@example.com, bo@example.com.",
        "ana@example.com., bo@example.com,",
        '"ana@example.com","bo@example.com"',
        "'ana@example.com' 'bo@example.com'",
        "\u201cana@example.com\u201d, \u2018bo@example.com\u2019",
        "\u201eana@example.com\u201c; \u201abo@example.com\u2018",
        "\u00abana@example.com\u00bb \u2039bo@example.com\u203a",
        "\u00ab\u00a0ana@example.com\u00a0\u00bb, \u300cbo@example.com\u300d",
        '"ana@example.com, bo@example.com."',
        '"ana@example.com" ; "" ; "bo@example.com"',
        "<ana@example.com> <bo@example.com>",
        "<ana@example.com>, <bo@example.com>.",
        "Ana Souza <ana@example.com>, Bo Diaz <bo@example.com>",
        "Ana Souza <ana@example.com>; Bo Diaz <bo@example.com>",
        "Ana Souza <ana@example.com>\nBo Diaz <bo@example.com>\n",
        "Ana Souza <ana@example.com> Bo Diaz <bo@example.com>",
        "Souza, Ana <ana@example.com>, Diaz, Bo <bo@example.com>",
        "Souza, Ana <ana@example.com>; Diaz, Bo <bo@example.com>",
        '"Souza, Ana" <ana@example.com>, "Diaz, Bo" <bo@example.com>',
        '"Ana Souza <ana@example.com>", "Bo Diaz <bo@example.com>".',
        "'ana@example.com' <ana@example.com>, bo@example.com",
        "ana@example.com, Bo (QA, @home) < bo@example.com >",
        "Ana Souza<mailto:ana@example.com>, MAILTO:bo@example.com",
        "ana@example.com<mailto:ana@example.com>; bo@example.com<mailto:bo@example.com>",
    ],
)
def test_whatever_mail_programs_and_spreadsheets_paste_names_the_same_people(text):
    names, others = read(text)
    assert (list(dict.fromkeys(names)), others) == ([ANA_AT, BO_AT], [])


@pytest.mark.parametrize(
    "text", [ANA, ANA.upper(), f'"{ANA}"', f"{ANA}.", f"{ANA};", f"\ufeff{ANA}", f"Ana <{ANA}>"]
)
def test_an_id_has_the_form_of_a_uuid_and_is_used_in_lower_case(text):
    assert read(text) == ([Name("id", ANA)], [])


@pytest.mark.parametrize(
    "address",
    [
        "a@b",
        "ana.souza+qa@sub.example.com",
        "o'brien@example.com",
        "_ana-@example.co.uk",
        "Ana@Example.COM",
        "łukasz@example.com",
        "用户@例子.广告",
        "संपर्क@डाटामेल.भारत",
        "#!$%&*/=?^{|}~@example.com",
    ],
)
def test_an_address_has_an_at_sign_between_two_parts(address):
    assert read(address) == ([Name("email", address)], [])


@pytest.mark.parametrize(
    "entry",
    [
        *("#", "-", "*", ".", "Ana", "user_id", "id:", "To:", "@", "ana@", "@example.com"),
        *("a@b@c", "ana@example..com@", "ana@-example.com", "ana@example.com-", "ana@example.com/"),
        *("ana@example.com?subject=x", "(ana@example.com)", "ana@example.com>", "<ana@example.com"),
        *("ana@example.com:bo@example.com", "ana@example.com|", "https://example.com/ana"),
        *(
            "ana\uff20example.com",
            "ana@example.com\uff0cbo@example.com",
            "o\u2019brien@example.com",
        ),
        *("ana\x00@example.com", "ana@exa\x1bmple.com", "ana@example.com\ud800", "a\u2800b@x"),
        *(ANA[:-1], ANA + "0", ANA.replace("-", ""), f"{{{ANA}}}", f"urn:uuid:{ANA}", ANA + ANA),
        *("<>", "<ana>", "<Ana Souza>", "<a@x, b@x>", "a" * 320 + "@x"),
    ],
)
def test_anything_else_is_nobody_and_is_told(entry):
    assert read(entry) == ([], [entry])
    assert read(f"{ANA}; {entry}; {BO}") == ([Name("id", ANA), Name("id", BO)], [entry])


@pytest.mark.parametrize(
    ("text", "people", "others"),
    [
        ("Ana ana@example.com Bo <bo@example.com>", [ANA_AT, BO_AT], ["Ana"]),
        (f"# {ANA} Bo <bo@example.com>", [Name("id", ANA), BO_AT], ["#"]),
        ("Ana; Bo <bo@example.com>", [BO_AT], ["Ana"]),
        ("Ana\nBo <bo@example.com>", [BO_AT], ["Ana"]),
        ("Ana <ana@example.com> Bo", [ANA_AT], ["Bo"]),
        ("Ana <ana> Bo <bo@example.com>", [BO_AT], ["Ana", "<ana>"]),
        ("Ana <ana@example.com", [], ["Ana", "<ana@example.com"]),
        ("Ana Souza\tana@example.com", [ANA_AT], ["Ana", "Souza"]),
    ],
)
def test_only_the_words_before_an_address_in_brackets_are_its_name(text, people, others):
    assert read(text) == (people, others)


@pytest.mark.parametrize(
    "text", ["", " ", ",;\n", '""', "\u201c\u201d, '\u00a0'", "\ufeff", "\u200b"]
)
def test_nothing_names_nobody(text):
    assert read(text) == ([], [])


# Properties

LOCAL = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,10}[A-Za-z0-9]", fullmatch=True)
ADDRESS = st.builds("{}@{}.example.com".format, LOCAL, st.from_regex(r"[a-z]{1,8}", fullmatch=True))
PERSON = st.uuids().map(str) | ADDRESS
UNSEEN = st.sampled_from(["", "\ufeff", "\u200b", "\u200e", "\u202a", "\u2060", "\u00ad"])
QUOTE = st.sampled_from(
    ['""', "''", "\u201c\u201d", "\u2018\u2019", "\u201e\u201c", "\u00ab\u00bb"]
)
SEPARATOR = st.sampled_from([", ", ";", "; ", " ", "\n", "\r\n", "\u00a0", " ,\u00a0", "\t", ";\n"])
NAME = st.sampled_from(
    ["", "Ana ", "Ana Souza ", "Souza, Ana ", '"Souza, Ana" ', "O'Neill, B. (QA) "]
)


@st.composite
def pasted(draw, person):
    """One person, in any of the documented forms."""
    text = draw(st.sampled_from([person, person.upper()])) if "@" not in person else person
    at = draw(st.integers(0, len(text)))
    text = text[:at] + draw(UNSEEN) + text[at:]
    if "@" in person and draw(st.booleans()):
        text = f"mailto:{text}"
    form = draw(st.sampled_from(["plain", "quoted", "named", "stopped"]))
    if form == "quoted":
        opening, closing = draw(QUOTE)
        return f"{opening}{text}{closing}"
    if form == "named":
        return f"{draw(NAME)}<{text}>"
    return f"{text}{draw(st.sampled_from('.,'))}" if form == "stopped" else text


@given(st.data(), st.lists(PERSON, max_size=8))
def test_a_list_pasted_in_any_form_names_the_same_people_in_the_same_order(data, people):
    text = data.draw(UNSEEN)
    for person in people:
        text += data.draw(pasted(person)) + data.draw(SEPARATOR)
    names, others = read(text)
    assert ([name.text for name in names], others) == (people, [])


MARKS = st.sampled_from(
    [*"@<>;,.\"'- \n\u00a0\u200b\ufeff\u201c\u201d\x00", "mailto:", "sk-", ANA, "a@b"]
)


@given(st.lists(MARKS | st.characters(exclude_categories=[])).map("".join))
def test_nothing_that_is_neither_an_id_nor_an_address_becomes_a_person(text):
    names, others = read(text)
    for name in names:
        if name.kind == "id":
            assert len(name.text) == 36
            assert set(name.text) <= {*"0123456789abcdef-"}
        else:
            local, domain = name.text.split("@")
            assert local
            assert domain
            assert name.text.isprintable()
            assert " " not in name.text
        assert read(name.text) == ([name], [])
    assert not any(read(other)[0] for other in others if "<" not in other)


@given(st.text(st.characters(exclude_categories=[])))
def test_the_form_in_which_names_are_compared_is_settled(text):
    for kind in ("email", "group"):
        assert compared(kind, f" \ufeff{text}\u200b\u00a0") == compared(kind, text)
        assert compared(kind, compared(kind, text)) == compared(kind, text)


# What a message shows


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("ana", "'ana'"),
        ("o'brien", '"o\'brien"'),
        ("a\u200bb\ufeff", "'a<U+200B>b<U+FEFF>'"),
        ("a\u2800\u3164b", "'a<U+2800><U+3164>b'"),
        ("a\x00\udc80\n", "'a<U+0000><U+DC80>\\n'"),
        ("é", "'é'"),
        (None, "null"),
        (True, "true"),
        ({"a": ["é\u200b", 1.5]}, '{"a": ["é<U+200B>", 1.5]}'),
        ("x" * 200, f"'{'x' * 99}..."),
        (["x"] * 10**6, '["x", ' + '"x", ' * 18 + '"x",...'),
        ("key=sk-0123456789abcdef", "'key=***"),
        ("x" * 95 + " sk-0123456789abcdef", f"'{'x' * 95} ***"),
        ("https://me:" + "x" * 200 + "@example.com", "'https:***example.com'"),
    ],
)
def test_a_value_is_shown_short_visible_and_without_secrets(value, said):
    assert shown(value) == said


def test_a_value_that_python_cannot_print_is_told_by_its_kind():
    nested: list[object] = []
    for _ in range(100_000):
        nested = [nested]
    assert shown(10**5000) == "a number too long to show"
    assert shown({"days": 10**5000}) == "a JSON object too long to show"
    assert shown(nested) == "a JSON array too long to show"


@pytest.mark.parametrize(
    "text",
    ["<" * 10**6, "'" * 10**6 + "x", "a@" * 10**6, "<a" * 10**6, "x<a@b>" * 10**5, "//" * 10**6],
)
def test_a_long_text_takes_no_time_to_speak_of(text):
    began = time.monotonic()
    _, others = read(text)
    shown(text)
    shown(others)
    assert time.monotonic() - began < 10
