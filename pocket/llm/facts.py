"""The facts of the training data, without phrasings."""

from pocket.llm.tables import items, names

_CAPITALS = """
France Paris|Germany Berlin|Italy Rome|Spain Madrid|Portugal Lisbon|Austria Vienna|Switzerland Bern|Belgium Brussels
the_Netherlands Amsterdam|Luxembourg Luxembourg_City|Denmark Copenhagen|Norway Oslo|Sweden Stockholm|Finland Helsinki
Iceland Reykjavik|Ireland Dublin|England London|Scotland Edinburgh|Wales Cardiff|the_United_Kingdom London
Poland Warsaw|the_Czech_Republic Prague|Slovakia Bratislava|Hungary Budapest|Romania Bucharest|Bulgaria Sofia
Greece Athens|Turkey Ankara|Cyprus Nicosia|Malta Valletta|Croatia Zagreb|Serbia Belgrade|Slovenia Ljubljana
Bosnia Sarajevo|Albania Tirana|North_Macedonia Skopje|Montenegro Podgorica|Kosovo Pristina|Estonia Tallinn
Latvia Riga|Lithuania Vilnius|Belarus Minsk|Ukraine Kyiv|Moldova Chisinau|Russia Moscow|Georgia Tbilisi
Armenia Yerevan|Azerbaijan Baku|Kazakhstan Astana|Uzbekistan Tashkent|Mongolia Ulaanbaatar|China Beijing|Japan Tokyo
South_Korea Seoul|North_Korea Pyongyang|Taiwan Taipei|Vietnam Hanoi|Thailand Bangkok|Cambodia Phnom_Penh
Laos Vientiane|Malaysia Kuala_Lumpur|Indonesia Jakarta|the_Philippines Manila|India New_Delhi|Pakistan Islamabad
Bangladesh Dhaka|Nepal Kathmandu|Bhutan Thimphu|Afghanistan Kabul|Iran Tehran|Iraq Baghdad|Syria Damascus
Lebanon Beirut|Jordan Amman|Saudi_Arabia Riyadh|Yemen Sanaa|Oman Muscat|Qatar Doha|Bahrain Manama|Kuwait Kuwait_City
the_United_Arab_Emirates Abu_Dhabi|Egypt Cairo|Libya Tripoli|Tunisia Tunis|Algeria Algiers|Morocco Rabat
Sudan Khartoum
Ethiopia Addis_Ababa|Somalia Mogadishu|Kenya Nairobi|Uganda Kampala|Rwanda Kigali|Tanzania Dodoma|Zambia Lusaka
Zimbabwe Harare|Mozambique Maputo|Madagascar Antananarivo|Namibia Windhoek|Botswana Gaborone|Angola Luanda
Nigeria Abuja|Ghana Accra|Senegal Dakar|Mali Bamako|Niger Niamey|Chad N'Djamena|Cameroon Yaounde|Gabon Libreville
Liberia Monrovia|Sierra_Leone Freetown|Canada Ottawa|the_United_States Washington|Mexico Mexico_City|Cuba Havana
Jamaica Kingston|Haiti Port-au-Prince|the_Bahamas Nassau|Guatemala Guatemala_City|Honduras Tegucigalpa
Nicaragua Managua|Costa_Rica San_Jose|Panama Panama_City|Colombia Bogota|Venezuela Caracas|Ecuador Quito|Peru Lima
Bolivia Sucre|Brazil Brasilia|Paraguay Asuncion|Uruguay Montevideo|Argentina Buenos_Aires|Chile Santiago
Australia Canberra|New_Zealand Wellington|Fiji Suva
"""


def _pairs(table: str) -> dict[str, str]:
    entries = table.replace("\n", "|").split("|")
    return {k.replace("_", " "): v.replace("_", " ") for k, v in (e.split() for e in entries if e)}


CAPITALS = _pairs(_CAPITALS)
"""Country (with its article, if any) -> capital."""

COUNTRY_ALIASES = {
    "the United States": ("the US", "the USA", "America", "the United States of America"),
    "the United Kingdom": ("the UK", "Great Britain", "Britain"),
    "the Netherlands": ("Holland", "Netherlands"),
    "the Philippines": ("Philippines",),
    "the Czech Republic": ("Czech Republic", "Czechia"),
    "South Korea": ("Korea",),
}
"""Other names of countries of CAPITALS."""

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = {
    "January": 31,
    "February": 28,
    "March": 31,
    "April": 30,
    "May": 31,
    "June": 30,
    "July": 31,
    "August": 31,
    "September": 30,
    "October": 31,
    "November": 30,
    "December": 31,
}
"""Month -> number of days in a common year."""

ORDINALS = names("first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth")

_OPPOSITES = """
hot cold|big small|tall short|fast slow|up down|left right|open closed|happy sad|old young|light dark
day night|black white
good bad|high low|in out|on off|full empty|hard soft|heavy light|wet dry|clean dirty|rich poor|strong weak|early late
near far|long short|wide narrow|thick thin|loud quiet|easy difficult|cheap expensive|first last|front back
inside outside
above below|over under|before after|start finish|begin end|push pull|give take|buy sell|win lose|love hate|laugh cry
come go|ask answer|remember forget|find lose|true false|right wrong|yes no|always never|everything nothing|more less
many few|alive dead|awake asleep|brave afraid|beautiful ugly|sharp blunt|smooth rough|deep shallow|safe dangerous
sweet sour|warm cool|summer winter|north south|east west|morning evening|friend enemy|hello goodbye|arrive leave
same different|simple complicated|polite rude|tight loose|public private|young old|new old|cold hot|small big
slow fast
down up|sad happy|dark light|night day|white black|bad good|low high|out in|off on|empty full|soft hard|dry wet
dirty clean|poor rich|weak strong|late early|far near|narrow wide|thin thick|quiet loud|difficult easy|expensive cheap
last first|outside inside|below above|under over|after before|end beginning|pull push|take give|sell buy
hate love|cry laugh
go come|answer question|forget remember|false true|wrong right|no yes|never always|nothing everything
less more|few many
dead alive|asleep awake|ugly beautiful|rough smooth|shallow deep|dangerous safe|cool warm|winter summer
south north|west east
evening morning|enemy friend|goodbye hello|different same|rude polite|loose tight|large small|little big|short long
closed open|lose win|stop go|noisy quiet|lazy hardworking|kind cruel|top bottom|bottom top|question answer
"""
OPPOSITES = _pairs(_OPPOSITES)

_COLOURS = """
the_sky blue|grass green|snow white|the_sun yellow|a_banana yellow|a_lemon yellow|a_strawberry red
a_tomato red|blood red
a_cherry red|a_carrot orange|an_orange orange|a_pumpkin orange|a_frog green|a_leaf green|a_cucumber green
broccoli green
lettuce green|spinach green|a_pea green|chocolate brown|a_bear brown|wood brown|coffee brown|soil brown|a_potato brown
coal black|night black|a_raven black|tar black|milk white|salt white|paper white|a_swan white
a_polar_bear white|cotton white
the_sea blue|the_ocean blue|a_sapphire blue|a_blueberry blue|a_flamingo pink|a_pig pink|an_aubergine purple
a_plum purple
lavender purple|an_elephant grey|a_mouse grey|a_dolphin grey|a_rain_cloud grey|ash grey|a_lion yellow|a_fox red
a_ruby red|an_emerald green|a_crow black|a_fire_engine red|a_ladybird red|a_lime green|a_snowman white|a_canary yellow
a_sunflower yellow|butter yellow|corn yellow|honey yellow|gold yellow|a_grasshopper green|a_crocodile green|rice white
flour white|sugar white|a_chestnut brown|a_brick red|a_violet purple|a_shark grey|a_rhino grey
a_raspberry red|a_polar_fox white
"""
COLOURS = _pairs(_COLOURS)
"""Thing (with its article, if any) -> its usual colour."""

_SOUNDS = """
dog woof|cat meow|cow moo|sheep baa|goat bleat|horse neigh|donkey hee-haw|pig oink|duck quack|hen cluck
rooster cock-a-doodle-doo
chick cheep|turkey gobble|goose honk|bee buzz|fly buzz|mosquito buzz|snake hiss|lion roar|tiger roar
bear growl|wolf howl
frog croak|owl hoot|crow caw|raven croak|pigeon coo|dove coo|bird tweet|sparrow chirp|cricket chirp
mouse squeak|rat squeak
monkey ooh-ooh|elephant trumpet|dolphin click|parrot squawk|seal bark|hyena laugh|kitten mew|puppy yap
lamb baa|peacock scream
"""
SOUNDS = _pairs(_SOUNDS)
"""Animal -> its sound."""

ANIMALS = names(
    "fox cat dog mouse rabbit bear wolf lion tiger elephant monkey horse cow pig sheep goat duck goose hen "
    "rooster owl "
    "frog turtle snail bee ant spider butterfly whale dolphin shark fish octopus crab penguin seal otter "
    "beaver badger "
    "hedgehog squirrel mole deer moose camel giraffe zebra hippo rhino crocodile snake lizard parrot crow "
    "eagle swan "
    "pigeon sparrow stork flamingo peacock kangaroo koala panda hamster donkey puppy kitten lamb bat raccoon hare "
    "tortoise dragon unicorn"
)
"""Animals of stories, and favourite animals."""

PAINTS = names("red blue green yellow orange purple pink brown black white grey turquoise silver gold violet")

FOODS = items(
    "pizza|pasta|rice|soup|chocolate|ice cream|apple pie|cheese|bread|sushi|pancakes|salad|spaghetti|strawberries|"
    "noodles|potatoes|chicken|fish|curry|cake|cookies|bananas|apples|tacos|beans|porridge|honey|dumplings|waffles|"
    "lasagna|mushrooms|tomato soup|fried eggs|toast|popcorn|mango|grapes|stew|burgers|chips"
)

PLACES = (
    items(
        "Boston|Chicago|Manchester|Liverpool|Hamburg|Munich|Milan|Naples|Barcelona|Lyon|Geneva|Zurich|Istanbul|Dubai|"
        "Mumbai|Shanghai|Osaka|Sydney|Melbourne|Toronto|New York|Los Angeles|San Francisco|Texas|Florida|Bristol|"
        "Oxford|Cambridge|Seattle|a village|the mountains|a small town|the country"
    )
) + tuple(city for city in CAPITALS.values() if "'" not in city)

NAMES = names(
    "Anna Ben Clara David Emma Felix Grace Henry Ida Jack Kate Leo Mary Noah Olivia Paul Quinn Rosa Sam Tom "
    "Uma Victor "
    "Wendy Xavier Yara Zoe Alice Bob Carol Daniel Eve Frank George Helen Ivan Julia Karl Laura Mark Nina "
    "Oscar Peter "
    "Rachel Simon Tina Ursula Vera Walter Amir Fatima Hiro Yuki Chen Wei Priya Raj Omar Layla Diego Sofia "
    "Pedro Lucia "
    "Jamal Kofi Amara Ingrid Lars Sven Olga Boris Pierre Marie Hans Greta John James Robert Michael William Linda "
    "Susan Sarah Karen Lisa Nancy Betty Emily Donna Kevin Brian Edward Ronald Tim Jason Jeff Ryan Jacob Gary Eric "
    "Adam Lucy Ella Mia Lily Ruby Max Oliver Harry Charlie Jake Alex Chris Pat Robin Sandy Martin Steve "
    "Andrew Philip"
)

_SMALL = names(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
)
_TENS = names("twenty thirty forty fifty sixty seventy eighty ninety")


def words_of(number: int) -> str:
    """Return the English words of an integer between -9999 and 9999."""
    if number < 0:
        return "minus " + words_of(-number)
    if number < 20:
        return _SMALL[number]
    if number < 100:
        tens, rest = divmod(number, 10)
        return _TENS[tens - 2] + (f"-{_SMALL[rest]}" if rest else "")
    unit, name = (100, "hundred") if number < 1000 else (1000, "thousand")
    head, rest = divmod(number, unit)
    return f"{words_of(head)} {name}" + (
        "" if not rest else f" and {words_of(rest)}" if rest < 100 else f" {words_of(rest)}"
    )
