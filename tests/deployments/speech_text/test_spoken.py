"""What is said for what is written: a table by kinds, and properties that hold for any text."""

from __future__ import annotations

import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deployments.speech_text import markup
from deployments.speech_text.spoken import spoken

POCKET = frozenset(string.ascii_lowercase + "!',.? ")  # the characters of the bundled voice


def said(text: str, language: str = "en") -> str:
    """Return what the bundled voice reads of a line, in lower case as it reads it."""
    return spoken(markup.plain(text, line_start=True), language, POCKET).text.lower()


# Capital letters are only those of the text: voices do not distinguish them. A hyphen is a space to the bundled voice.
TABLE = {
    "the table of the issue": """
        $1,234.56 | one thousand two hundred thirty four dollars and fifty six cents
        1/2 a cup | half a cup
        ½ a cup of milk | half a cup of milk
        № 5 | number five
        -5°C | minus five degrees celsius
        80 km/h | eighty kilometers per hour
        50 kg, 3 cm, 2 GB | fifty kilograms, three centimeters, two gigabytes
        221B Baker St. | two twenty one b baker street.
        http://example.com/a?b=c | example dot com slash eigh question mark b equals c
        user@example.com | user at example dot com
        C++ & C# | c plus plus and c sharp
        A.B.C. | eigh b c.
        NASA, FBI, CEO | nasa, f b i, c e o
        e.g. this, i.e. that, etc. | for example this, that is that, et cetera.
        vs. Prof. Smith | versus professor smith
        Chapter IV, Henry VIII | chapter four, henry the eighth
        5 > 3 and 3 < 5 | five is greater than three and three is less than five
        x² + H₂O | x squared plus h two o
        ﬁne ｆｕｌｌｗｉｄｔｈ | fine fullwidth
        café, naïve résumé | cafe, naive resume
        Müller | muller
        &amp; &lt; &quot; &nbsp; | and less than
        print("hello") | print hello
        Hello Привет world | hello world
    """,
    "numbers": """
        1,000,000 users | one million users
        3.14159 | three point one four one five nine
        .5 and 0.5 | point five and zero point five
        -3.5 | minus three point five
        007 | zero zero seven
        1, 2, 3 | one, two, three
        the 1st, 22nd and 103rd | the first, twenty second and one hundred third
        10 - 3 and 10 − 3 | ten minus three and ten minus three
        12345678901234567 | one two three four five six seven eight nine zero one two three four five six seven
        2001: A Space Odyssey | two thousand one, a space odyssey
        ٣ apples | three apples
        3 million people, 300K users | three million people, three hundred thousand users
        room 12b | room twelve b
        59362e5, U+1E12 | fifty nine thousand three hundred sixty two e five, u plus one e twelve
        -2.5e6 | minus two point five times ten to the power of six
        1.5e-10. | one point five times ten to the power of minus ten.
        1 000 001 people, 10 000, $1 000 000 | one million one people, ten thousand, one million dollars
        rows 100 200 300 | rows one hundred two hundred three hundred
        1.2K, 12K, 4K | one point two thousand, twelve thousand, four k
        i7-12700K | i seven twelve thousand seven hundred k
    """,
    "fractions": """
        1/4, 3/4 and 2/3 | one quarter, three quarters and two thirds
        1 1/2 cups | one and a half cups
        1½ hours | one and a half hours
        7/16 | seven sixteenths
        17/23 | seventeen over twenty three
        8/10 | eight out of ten
        24/7 | twenty four seven
        10/10, 50/50, 7/7 | ten out of ten, fifty fifty, seven out of seven
        4/5 stars, 4.5/5, 4/5 of it | four out of five stars, four point five out of five, four fifths of it
        1/100, 1/10, 3/100 | one hundredth, one tenth, three out of one hundred
    """,
    "money": """
        $1 and $0.99 | one dollar and ninety nine cents
        $1.5 million, $2M | one point five million dollars, two million dollars
        €3.50, please | three euros and fifty cents, please
        £20.01 | twenty pounds and one penny
        ¥500 | five hundred yen
        5 USD and 10 € | five u s dollars and ten euros
        -$5 | minus five dollars
        $5-10 or $5–$10 | five to ten dollars or five to ten dollars
        $5/month | five dollars per month
        1.234,56 € | one thousand two hundred thirty four euros and fifty six cents
        1.000.000 € | one million euros
        $3.99/lb | three dollars and ninety nine cents per pound
        99¢ | ninety nine cents
        a $5 bill, $1 million house, $20-a-month | a five dollar bill, one million dollar house, twenty dollar a month
        a $4.99 app, a £3.50 coffee | a four dollar and ninety nine cent app, a three pound and fifty pence coffee
        it costs $5 today, a $5 to $10 range | it costs five dollars today, a five dollars to ten dollars range
        $5M-$10M, $5K–10K | five million to ten million dollars, five thousand to ten thousand dollars
        $5 million–$10 million | five million to ten million dollars
        HK$100, NZ$1 | one hundred hong kong dollars, one new zealand dollar
        Rs. 500, $.99, 5,99 € | five hundred rupees, ninety nine cents, five euros and ninety nine cents
    """,
    "units": """
        5km, 1 km, 1.5 km | five kilometers, one kilometer, one point five kilometers
        1/2 km, 3/4 kg | half a kilometer, three quarters of a kilogram
        5 m², 5 m^2, 5 m³ | five square meters, five square meters, five cubic meters
        9.8 m/s² | nine point eight meters per second squared
        20-25 °C, 72°F, 90° | twenty to twenty five degrees celsius, seventy two degrees fahrenheit, ninety degrees
        12.5 % | twelve point five percent
        100 Mbps, 3.5 GHz | one hundred megabits per second, three point five gigahertz
        5 ft 3 in, 5'11" | five feet three inches, five feet eleven
        60 mph, 30 fps | sixty miles per hour, thirty frames per second
        5 min. later | five minutes later
        10 µm, 5 kΩ | ten micrometers, five kilohms
        4K, 5G, 3D | four k, five g, three d
        takes 30s, timeout: 5s, 10s timeout | takes thirty seconds, timeout, five seconds, ten seconds timeout
        a cell, 16s, another | a cell, sixteen seconds, another
        two 5s, 1s and 0s, 747s, F-16s | two fives, ones and zeros, seven forty sevens, f sixteens
        100s of people, for 1000s of years | hundreds of people, for thousands of years
        1h 30m 20s, 30 m | one hour thirty minutes twenty seconds, thirty meters
        5'10, 5' tall, a 6' fence, 8' x 10' | five feet ten, five feet tall, a six foot fence, eight feet by ten feet
        a 12" pizza, 3.5", a 1/2" bolt | a twelve inch pizza, three point five inches, a half inch bolt
        12" wide, 1/2" | twelve inches wide, half an inch
        5 eV, 120 mmHg, 200 hp | five electronvolts, one hundred twenty millimeters of mercury, two hundred horsepower
        a 5 A fuse, draws 2 A. | a five amps fuse, draws two amps.
        5 A levels, an HP laptop | five a levels, an aitch p laptop
        in GHz, cost per kWh, an rpm package | in gigahertz, cost per kilowatt hour, an rpm package
        the speed in km/h | the speed in kilometers per hour
        "I have 12" and "V=1" or 'version 5' or b'3' | i have twelve and v equals one or 'version five ' or b' three '
    """,
    "dates": """
        2024-03-04 | march fourth, twenty twenty four
        2024-03-04T12:30:00Z | march fourth, twenty twenty four, at twelve thirty
        3/4/2024 | march fourth, twenty twenty four
        25/12/1999 | december twenty fifth, nineteen ninety nine
        04.03.2024 | march fourth, twenty twenty four
        Jan. 5, 2024 | january fifth, twenty twenty four
        March 4th | march fourth
        March 4-6 | march fourth to sixth
        4 July 1776 | the fourth of july seventeen seventy six
        Dec 2019 | december twenty nineteen
        2024-13-45 | two zero two four, one three, four five
        2024/01/15 | january fifteenth, twenty twenty four
        Mon-Fri, Sat & Sun, Tues., Sun. | monday to friday, saturday and sunday, tuesday, sunday.
        Mon. 3 pm, Sat 10am, Fri, Jan 5 | monday three p m, saturday ten eigh m, friday, january fifth
        Jan.–Mar., April–June, in Feb. it rained | january to march, april to june, in february it rained
        The Sun and Moon, the Sun. I sat. | the sun and moon, the sun. i sat.
        I met Jan. | i met jan.
    """,
    "times": """
        5:30 pm, 5 PM, 5:00 p.m. | five thirty p m, five p m, five p m.
        9am-5pm | nine eigh m to five p m
        17:30, 9:05, 12:00, 00:00 | seventeen thirty, nine oh five, twelve o'clock, midnight
        9:30–10:30 | nine thirty to ten thirty
        16:9 | sixteen to nine
        14:00, Mon 9:00-17:00 | fourteen hundred hours, monday nine o'clock to seventeen hundred hours
        10.30am, 10.30 m | ten thirty eigh m, ten point three zero meters
        Genesis 1:1-3, ask John 3:00 | genesis one, one to three, ask john three o'clock
    """,
    "years": """
        in 1999, in 2005, in 1066 | in nineteen ninety nine, in two thousand five, in one thousand sixty six
        in 1500 | in fifteen hundred
        (1815) | eighteen fifteen
        the 1990s, the '90s, her 20s | the nineteen nineties, the nineties, her twenties
        1990–1995, 1990-95 | nineteen ninety to nineteen ninety five, nineteen ninety to ninety five
        I have 2000 followers. | i have two thousand followers.
        80s music, 1980s–90s | eighties music, nineteen eighties to nineties
        1960s-1970s | nineteen sixties to nineteen seventies
        in the 1980s and '90s, the 60s-70s | in the nineteen eighties and nineties, the sixties to seventies
        class of '99, '05, 'tis | class of ninety nine, oh five, 'tis
        The answer is 1234. | the answer is one thousand two hundred thirty four.
        In 1492, born 1770, Founded 1636 | in fourteen ninety two, born seventeen seventy, founded sixteen thirty six
        from 1861 to 1865 | from eighteen sixty one to eighteen sixty five
        Between 1861 and 1865 | between eighteen sixty one and eighteen sixty five
        between 1200 and 1500 people | between one thousand two hundred and one thousand five hundred people
        from 1200 to 1400 calories | from one thousand two hundred to one thousand four hundred calories
        The 1860 election, the 1500 meter race | the eighteen sixty election, the one thousand five hundred meter race
        44 BC, AD 70 | forty four b c, eigh d seventy
    """,
    "ranges, telephone numbers, versions": """
        5-10, 5–10 | five to ten, five to ten
        pp. 5-10, p. 7 | pages five to ten, page seven
        555-123-4567 | five five five, one two three, four five six seven
        (555) 123-4567 | five five five, one two three, four five six seven
        +44 20 7946 0958 | plus four four, two zero, seven nine four six, zero nine five eight
        Call 911. | call nine one one.
        call 555-0123 | call five five five, zero one two three
        555-1234, 500-1000 | five five five, one two three four, five hundred to one thousand
        555.867.5309 | five five five, eight six seven, five three zero nine
        020 7946 0958 | zero two zero, seven nine four six, zero nine five eight
        4111 1111 1111 1111 | four one one one, one one one one, one one one one, one one one one
        call 911 or 112, the 911 emergency line | call nine one one or one one two, the nine one one emergency line
        call 200 people | call two hundred people
        Python 3.11.4, v1.2 | python three point eleven point four, version one point two
        192.168.0.1 | one nine two dot one six eight dot zero dot one
    """,
    "signs": """
        3 × 4 = 12 | three times four equals twelve
        3*4, 8 ÷ 2 | three times four, eight divided by two
        10-5=5, 10-5-2=3, 10-5 | ten minus five equals five, ten minus five minus two equals three, ten to five
        50% ± 2% | fifty percent plus or minus two percent
        π ≈ 3.14 | pi approximately equals three point one four
        ~5 minutes | about five minutes
        x ≤ 5, y >= 3, a != b | x is at most five, y is at least three, a is not equal to b
        2^10, 10⁻³ | two to the power of ten, ten to the power of minus three
        A → B, A -> B | a to b, a to b
        1920x1080, 10x faster | nineteen twenty by one thousand eighty, ten times faster
        #5, #hashtag, @user | number five, hashtag hashtag, at user
        yes/no, and/or | yes or no, and or
        α and Ω | alpha and omega
        2πr, πr², Δx = 5, µg | two pi r, pi r squared, delta x equals five, mu g
        ο | omicron
        5+ years | five plus years
        one — two – three | one, two, three
        don’t “quote” | don't quote
        f(x) = x^2 + 3x - 5 | f x equals x squared plus three x minus five
        Wi-Fi, Q&A, Ctrl+C | wi fi, q and a, ctrl plus c
        Nike™ and Intel® | nike and intel
        (x+1)(x-1), n-1 | x plus one, x minus one, n minus one
        x^2 - y^2, (x-1)/(x+1) | x squared minus y squared, x minus one, divided by, x plus one
        b^2-4ac, y = -x | b squared minus four ac, y equals minus x
        8 – 3 = 5, ΔG = ΔH - TΔS | eight minus three equals five, delta g equals delta h minus t delta s
        x-ray, mode = on-off | x ray, mode equals on off
        6 x 7, 3 x 10^8 | six times seven, three times ten to the power of eight
        6x7 = 42 | six times seven equals forty two
        10 m x 20 m, 10 x 12 ft, 4x6 | ten meters by twenty meters, ten by twelve feet, four by six
        10 / 2 = 5, dy/dx | ten divided by two equals five, dy over dx
        p50 / p95: 14 / 19 | p fifty slash p ninety five, fourteen slash nineteen
        a/b = c, v = d/t | a over b equals c, v equals d over t
        type = text/html, he/she = it, I/O | type equals text or html, he or she equals it, i o
        8 l/100 km, $10/GB | eight liters per one hundred kilometers, ten dollars per g b
        9.8 N/kg | nine point eight newtons per kilogram
        E = ½mv² | e equals one half mv squared
        5! = 120, n! + 1, Hello! | five factorial equals one hundred twenty, n factorial plus one, hello!
    """,
    "chemistry": """
        H2SO4, Ca(OH)2, NaHCO3 | h two s o four, c eigh o h two, n eigh h c o three
        SO₄²⁻, Fe²⁺, OH⁻ | s o four two minus, f e two plus, o h minus
        Cl- and Ca2+, a Li-ion cell | c l minus and c eigh two plus, a li ion cell
        10⁻³, x⁻¹ | ten to the power of minus three, x to the power of minus one
        B2B, CHIP8, PS5 | b two b, chip eight, p s five
    """,
    "addresses": """
        www.example.org. | example dot org.
        https://docs.python.org/3/ | docs dot python dot org slash three
        first.last@mail.co.uk | first dot last at mail dot c o dot u k
        see example.com, please | see example dot com, please
        /usr/bin/env | slash usr slash bin slash env
        main.py | main dot py
        ~/.cache/my-app/auth_key/ | tilde slash dot cache slash my app slash auth key
        GET /api/v1/users, not /etc/hosts. | get slash api slash v one slash users, not slash et c slash hosts.
    """,
    "abbreviations": """
        Dr. Smith lives on Elm Dr. in St. Louis | doctor smith lives on elm drive in saint louis
        Mr. and Mrs. Jones | mister and missus jones
        St. Paul's, on Main St. | saint paul's, on main street.
        No. 5, not No. | number five, not no.
        approx. 5 | approximately five
        Acme Inc. and Co. | acme incorporated and company.
        Smith et al. say | smith et al say
        J. R. R. Tolkien, C.S. Lewis | j r r tolkien, c s lewis
        a Ph.D., a PhD | a p aitch d, a p aitch d
        w/ milk, w/o sugar | with milk, without sugar
        Wait a min. | wait a min.
        10 ft. tall, 6 ft. 2 in. tall, Ft. Worth | ten feet tall, six feet two inches tall, fort worth
        1 tsp. salt, 500 sq. ft. of it, 3 in. off | one teaspoon salt, five hundred square feet of it, three inches off
        70 m.p.h. is fast | seventy miles per hour is fast
        tired b/c of work | tired because of work
        the Rev. Dr. King on Elm Dr. | the reverend doctor king on elm drive.
        Elm Dr. | elm drive.
        My Dr. is good. | my doctor is good.
        123 St. James St., Apt. 5 | one hundred twenty three saint james street, apartment five
        Ch. 3, sec. 4 and Bldg. 5 | chapter three, section four and building five
        this one, i.e. | this one, that is.
    """,
    "acronyms": """
        the USA, the U.S., the UK's GDP | the u s eigh, the u s, the u k's g d p
        NATO and UNESCO | nato and unesco
        HTML, URLs, CPUs | aitch t m l, u r l's, c p u's
        HELLO, this is IMPORTANT, do NOT | hello, this is important, do not
        MP3, H2O, CO2, GPT-4, F-16 | m p three, h two o, c o two, g p t four, f sixteen
        COVID-19 | covid nineteen
        TCP/IP | t c p i p
        the IT department, an IT job, the WHO said | the i t department, an i t job, the w aitch o said
        make IT work, WHO are you? | make it work, who are you?
        USSR, WOW, a MIX | u s s r, wow, a mix
        pH 7, mRNA, NaCl, iPhone | p aitch seven, m r n eigh, n eigh c l, iphone
    """,
    "Roman numerals": """
        World War II, Part III | world war two, part three
        Louis XIV, Elizabeth I | louis the fourteenth, elizabeth the first
        When I met Elizabeth I was young. | when i met elizabeth i was young.
        Henry VIII was king, Louis XIV had | henry the eighth was king, louis the fourteenth had
        Queen Elizabeth I was born | queen elizabeth the first was born
        WWII and WWI, MMXXIV | world war two and world war one, twenty twenty four
        the XXI century, Rocky II | the twenty first century, rocky two
        I am. You and I. | i am. you and i.
        I, II and III | i, two and three
    """,
    "markup": """
        ## A title ## | a title
        - [x] an *item* | an item
        1. First | one, first
        > **quoted** | quoted
        [the docs](https://example.com/a_(b)) | the docs
        ![a cat](cat.png) | a cat
        <https://example.com> | example dot com
        `foo.bar(1)` and snake_case | foo dot bar one and snake case
        | Ann | 5 kg | | ann, five kilograms
        <b>bold</b>, H<sub>2</sub>O, x<sup>2</sup> | bold, h two o, x squared
        ~~old~~ __new__ | old new
        A note.[^1] | a note.
        \\*star\\* &copy; 2024 | star copyright twenty twenty four
        \\( \\frac{1}{2} \\times x^{10} \\) | one over two times x to the power of ten
        if $a_1 = \\sqrt{2}$ then | if a one equals square root of two then
        Fun 🎉 for all 👍🏽! | fun for all!
        if a<b and c>d, <a href="x">y</a> | if a is less than b and c is greater than d, y
        Use `<div class="x">`, `Vec<String>`, `a < b` | use div class equals x, vec string, a is less than b
        > 10 people | greater than ten people
        > 1. **quoted** | one, quoted
        >>> print(5) | print five
        >quoted | quoted
        ∞ | infinity
        4.5★ of ★★★★★ | four point five stars of
    """,
    "formulas": """
        \\[x = \\frac{\\sqrt{b + 4}}{2a}\\] | x equals square root of b plus four over two a
        \\text{Speed}=\\frac{\\text{Distance}}{\\text{Time}} | speed equals distance over time
        \\(\\Delta x \\in A\\), \\(\\sin{x} \\le 1\\) | delta x in a, sine x is at most one
        $a \\Rightarrow b$, \\boxed{42}, $90^\\circ$ | a implies b, forty two, ninety degrees
        50\\% and \\$5 | fifty percent and five dollars
        \\begin{align} x &= 5 \\\\ y &= 6 \\end{align} | x equals five, y equals six
        $1, 2, \\ldots, n$ | one, two, dot dot dot, n
        $\\sum_{i=1}^{n} i^2$ | sum from i equals one to n of i squared
        $\\log_2 n$, $x_{ij}$, $\\mathbb{R}$ \\mystery | log two n, x ij, r
        $x$ is, $5 and $6, $HOME and $PATH | x is, five dollars and six dollars, dollar home and dollar path
        `\\d` and C:\\Users | backslash d and c, backslash users
    """,
}


def rows() -> list[object]:
    found = []
    for kind, lines in TABLE.items():
        for line in lines.strip().splitlines():
            text, _, words = line.strip().rpartition(" | ")
            found.append(pytest.param(text, words, id=f"{kind}: {text}"))
    return found


@pytest.mark.parametrize(("text", "words"), rows())
def test_reads(text: str, words: str) -> None:
    assert said(text) == words


@pytest.mark.parametrize("text", ["---", "| --- | :-: |", "***", "=====", "😀", "", "[^1]: a footnote", "\x00\u200b"])
def test_leaves_out_a_line_for_the_eye(text: str) -> None:
    assert said(text) == ""


def test_what_the_voice_has_no_letters_for_is_reported() -> None:
    assert spoken("Hello Привет 世界, world", "en", POCKET).omitted == "Привет 世界"
    assert spoken("the word λόγος", "en", POCKET).omitted == "λόγος"
    assert spoken("Hello, wörld", "en", POCKET).omitted == ""


def test_a_voice_of_unknown_characters_keeps_accents_and_marks() -> None:
    found = spoken("(café) — twenty-one: naïve? Привет", "en-gb", None)
    assert (found.text, found.omitted) == ("(café) — twenty-one: naïve?", "Привет")


@pytest.mark.parametrize("language", ["de", "ru", None])
def test_other_languages_get_compatible_forms_only(language: str | None) -> None:
    found = spoken("５ ﬁne 😀 & 5 km für Müller, Привет", language, POCKET)
    assert (found.text, found.omitted) == ("5 fine & 5 km für Müller, Привет", "")


# --- properties -------------------------------------------------------------------------------------------------------

SNIPPETS = [text.strip() for lines in TABLE.values() for line in lines.strip().splitlines() for text in line.split("|")]
pieces = st.one_of(
    st.sampled_from(SNIPPETS), st.text(max_size=8), st.sampled_from(list("0123456789.,:/-–$€%°'\"^*_#<>&@+=~ xXIVAa"))
)
texts = st.lists(pieces, max_size=12).map("".join)


@given(texts)
@settings(max_examples=300, deadline=None)
def test_only_the_characters_of_the_voice_are_left_and_no_digit(text: str) -> None:
    found = spoken(markup.plain(text, line_start=True), "en", POCKET).text
    assert set(found.lower()) <= POCKET
    assert found == found.strip()
    known = spoken(markup.plain(text), "en", None).text
    assert not any(character.isdigit() or character.isdecimal() for character in known)


@given(st.lists(st.one_of(st.sampled_from(SNIPPETS), st.text("abcdef ,")), max_size=12).map(" ".join))
@settings(max_examples=300, deadline=None)
def test_words_are_read_as_they_are(text: str) -> None:
    once = spoken(text, "en", POCKET).text
    assert spoken(once, "en", POCKET).text == once


@given(st.text())
@settings(deadline=None)
def test_other_languages_never_fail(text: str) -> None:
    once = spoken(markup.plain(text), "de", None).text
    assert spoken(once, "de", None).text == once


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "unit",
    sorted(
        {character for text in SNIPPETS for character in text}
        | {
            "1,",
            "a.",
            "1/",
            "a@",
            "[a",
            "1-",
            "x ",
            "<b ",
            "`a",
            "\\(",
            "\\frac{",
            "\\sum_{",
            "$a",
            "$a ",
            "H2",
            "(C",
            "= a",
            "`<a ",
        }
    ),
)
def test_the_time_is_linear_in_the_text(unit: str) -> None:
    # A pattern that backtracks over the whole text takes minutes for it.
    spoken(markup.plain(unit * 10_000, line_start=True), "en", POCKET)
