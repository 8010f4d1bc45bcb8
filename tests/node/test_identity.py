import datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding

from mpcstats.errors import ConfigurationError
from mpcstats.node.identity.keys import create_identity, fingerprint_words, load_certificate, load_identity
from mpcstats.node.identity.words import WORDS, spoken
from mpcstats.transport.tls import fingerprint, tls_name


def certificate(name, key, before, after, algorithm):
    subject = x509.Name([])
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(before)
        .not_valid_after(after)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(tls_name(name))]), critical=False)
        .sign(key, algorithm)
        .public_bytes(Encoding.PEM)
    )


NOW = datetime.datetime.now(datetime.UTC)
YEAR = datetime.timedelta(days=365)
P384 = ec.generate_private_key(ec.SECP384R1())
P256 = ec.generate_private_key(ec.SECP256R1())


def test_files_are_private_and_never_overwritten(tmp_path):
    pair = create_identity(tmp_path, "northfield")
    assert (tmp_path / "keys").stat().st_mode & 0o777 == 0o700
    for name in ("node.key", "node.crt"):
        assert (tmp_path / "keys" / name).stat().st_mode & 0o777 == 0o600
    with pytest.raises(ConfigurationError, match="has an identity"):
        create_identity(tmp_path, "northfield")
    assert load_identity(tmp_path, "northfield") == pair
    loaded = load_certificate(pair.certificate_pem, "northfield")
    assert datetime.timedelta(days=729) < loaded.not_valid_after_utc - NOW < datetime.timedelta(days=731)


def test_a_key_that_others_can_read_is_refused(tmp_path):
    create_identity(tmp_path, "northfield")
    (tmp_path / "keys" / "node.key").chmod(0o640)
    with pytest.raises(ConfigurationError, match="can be read by other users"):
        load_identity(tmp_path, "northfield")


def test_a_missing_key_says_how_to_make_one(tmp_path):
    with pytest.raises(ConfigurationError, match="party init"):
        load_identity(tmp_path, "northfield")


@pytest.mark.parametrize("name", ["", "a", "North", "north_field", "north field", "1st", "x" * 33, "é", "a-", "../a"])
def test_names_that_cannot_name_a_party(tmp_path, name):
    with pytest.raises(ConfigurationError, match="cannot name a party"):
        create_identity(tmp_path, name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("pem", "says"),
    [
        (b"nonsense", "cannot be read"),
        (certificate("westbay", P256, NOW - YEAR, NOW + YEAR, hashes.SHA256()), "not made for the name"),
        (certificate("northfield", P256, NOW - 2 * YEAR, NOW - YEAR, hashes.SHA256()), "valid from"),
        (certificate("northfield", P256, NOW + YEAR, NOW + 2 * YEAR, hashes.SHA256()), "valid from"),
        (certificate("northfield", ed25519.Ed25519PrivateKey.generate(), NOW - YEAR, NOW + YEAR, None), "P-256"),
        (certificate("northfield", P384, NOW - YEAR, NOW + YEAR, hashes.SHA256()), "P-256"),
    ],
)
def test_certificates_that_are_refused(pem, says):
    with pytest.raises(ConfigurationError, match=says):
        load_certificate(pem, "northfield")


def test_a_renewed_certificate_with_the_same_key_has_the_same_fingerprint():
    one = certificate("northfield", P256, NOW - YEAR, NOW + YEAR, hashes.SHA256())
    two = certificate("northfield", P256, NOW, NOW + 2 * YEAR, hashes.SHA256())
    assert one != two
    assert fingerprint(one) == fingerprint(two)
    assert len(fingerprint_words(one).split("-")) == 12


def test_words_are_one_per_byte_and_known_by_three_letters():
    assert len(set(WORDS)) == 256
    assert len({word[:3] for word in WORDS}) == 256
    assert all(word.isascii() and word.islower() and 4 <= len(word) <= 8 for word in WORDS)
    assert spoken(bytes([0, 255])) == f"{WORDS[0]}-{WORDS[255]}"
