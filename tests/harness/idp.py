"""An identity provider that lies on request: it signs with openssl whatever a test wants, with whichever key and algorithm."""

import base64
import hashlib
import hmac
import http.server
import json
import os
import secrets
import subprocess
import tempfile
import threading
import time
import urllib.parse


def b64(data):
    """Base64url without padding (RFC 7515, section 2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class RsaKey:
    """An RSA key with a name, kept in a file for openssl."""

    def __init__(self, folder, kid):
        self.kid, self.path = kid, os.path.join(folder, f"{secrets.token_hex(8)}.pem")
        subprocess.run(["openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", self.path],
                       check=True, capture_output=True)
        told = subprocess.run(["openssl", "rsa", "-in", self.path, "-noout", "-modulus"], check=True, capture_output=True, text=True)
        self.modulus = bytes.fromhex(told.stdout.strip().partition("=")[2])

    def sign(self, data):
        return subprocess.run(["openssl", "dgst", "-sha256", "-sign", self.path], input=data, check=True, capture_output=True).stdout

    @property
    def jwk(self):
        return {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": self.kid, "n": b64(self.modulus), "e": "AQAB"}

    @property
    def public_pem(self):
        return subprocess.run(["openssl", "pkey", "-in", self.path, "-pubout"], check=True, capture_output=True).stdout


class Idp:
    """Logs everybody in at once. `claims` lays over the claims of the next tokens, `header` over their headers; `signer` is a
    word (RS256, none, HS256) or a key; `answer` lays over the parameters with which browsers are sent back."""

    def __init__(self):
        self._folder = tempfile.TemporaryDirectory(prefix="sluice-idp-")
        self.key = RsaKey(self._folder.name, "first")
        self.keys = [self.key]
        self.reset()
        self.codes, self.refresh_tokens, self.asked = {}, {}, []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                outer._get(self)

            def do_POST(self):
                outer._post(self)

            def log_message(self, *_):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.issuer = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def reset(self):
        """Honest again."""
        self.claims, self.header, self.answer, self.signer = {}, {}, {}, "RS256"
        self.person = {"sub": "u-1", "email": "carol@example.com", "email_verified": True, "preferred_username": "carol", "groups": ["engineering"]}
        self.refuses_refresh = False

    def new_key(self, kid, announced=True):
        key = RsaKey(self._folder.name, kid)
        if announced:
            self.keys = [key]
        self.key = key
        return key

    def close(self):
        self._server.shutdown()
        self._server.server_close()
        self._folder.cleanup()

    def token(self, client_id, nonce):
        now = int(time.time())
        claims = {"iss": self.issuer, "aud": client_id, "iat": now, "exp": now + 300, **self.person}
        if nonce is not None:
            claims["nonce"] = nonce
        claims = {name: value for name, value in {**claims, **self.claims}.items() if value is not None}
        algorithm = self.signer if isinstance(self.signer, str) else "RS256"
        key = self.key if isinstance(self.signer, str) else self.signer
        header = {"alg": algorithm, "typ": "JWT", "kid": key.kid, **self.header}
        signed = f"{b64(json.dumps(header).encode())}.{b64(json.dumps(claims).encode())}"
        if algorithm == "none":
            return f"{signed}."
        if algorithm == "HS256":
            # The confusion: the public key, which everybody has, as the shared secret.
            return f"{signed}.{b64(hmac.new(key.public_pem, signed.encode(), hashlib.sha256).digest())}"
        return f"{signed}.{b64(key.sign(signed.encode()))}"

    def _get(self, request):
        place = urllib.parse.urlsplit(request.path)
        query = dict(urllib.parse.parse_qsl(place.query))
        if place.path == "/.well-known/openid-configuration":
            self._json(request, 200, {
                "issuer": self.issuer, "authorization_endpoint": f"{self.issuer}/authorize", "token_endpoint": f"{self.issuer}/token",
                "jwks_uri": f"{self.issuer}/jwks", "end_session_endpoint": f"{self.issuer}/logout",
            })
        elif place.path == "/jwks":
            self._json(request, 200, {"keys": [key.jwk for key in self.keys]})
        elif place.path == "/authorize":
            self.asked.append(query)
            code = secrets.token_urlsafe(16)
            self.codes[code] = query
            back = {name: value for name, value in {"code": code, "state": query["state"], **self.answer}.items() if value is not None}
            request.send_response(303)
            request.send_header("location", f"{query['redirect_uri']}?{urllib.parse.urlencode(back)}")
            request.send_header("content-length", "0")
            request.end_headers()
        else:
            self._json(request, 404, {})

    def _post(self, request):
        body = request.rfile.read(int(request.headers.get("content-length", 0))).decode()
        form = dict(urllib.parse.parse_qsl(body))
        if form.get("grant_type") == "refresh_token":
            known = self.refresh_tokens.pop(form.get("refresh_token"), None)
            if known is None or self.refuses_refresh:
                return self._json(request, 400, {"error": "invalid_grant"})
            return self._tokens(request, known, None)
        query = self.codes.pop(form.get("code"), None)
        challenge = b64(hashlib.sha256(form.get("code_verifier", "").encode()).digest())
        if query is None or challenge != query["code_challenge"] or form["redirect_uri"] != query["redirect_uri"]:
            return self._json(request, 400, {"error": "invalid_grant"})
        return self._tokens(request, query["client_id"], query["nonce"])

    def _tokens(self, request, client_id, nonce):
        refresh = secrets.token_urlsafe(16)
        self.refresh_tokens[refresh] = client_id
        self._json(request, 200, {"access_token": "x", "token_type": "Bearer", "id_token": self.token(client_id, nonce), "refresh_token": refresh})

    @staticmethod
    def _json(request, status, value):
        data = json.dumps(value).encode()
        request.send_response(status)
        request.send_header("content-type", "application/json")
        request.send_header("content-length", str(len(data)))
        request.end_headers()
        request.wfile.write(data)
