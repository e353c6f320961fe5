"""Dorfbote's settings: one set for every installation, told apart by the environment alone."""

from datetime import timedelta

import django_stubs_ext

from config.env import PROJECT_ROOT, database, env

# Lets annotations such as ModelAdmin[Shop] stand in code that runs.
django_stubs_ext.monkeypatch()

SECRET_KEY = env.str("SECRET_KEY")
SECRET_KEY_FALLBACKS = env.list("SECRET_KEY_FALLBACKS", default=[])
DEBUG = env.bool("DEBUG", default=False)
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["127.0.0.1", "localhost"])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "knox",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "common",
    "lockers",
    "logistics",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "config.urls"
ASGI_APPLICATION = "config.asgi.application"
WSGI_APPLICATION = "config.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

DATABASES = {"default": database()}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

AUTH_USER_MODEL = "logistics.User"
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]

LANGUAGE_CODE = "de"
LANGUAGES = [("de", "Deutsch"), ("en", "English")]
TIME_ZONE = "Europe/Berlin"
USE_TZ = True

STATIC_URL = "/static/"
STATIC_ROOT = env.str("STATIC_ROOT", default=str(PROJECT_ROOT / "var" / "static"))

SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_SSL_REDIRECT = env.bool("HTTPS_ONLY", default=False)
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT
SECURE_HSTS_SECONDS = 31_536_000 if SECURE_SSL_REDIRECT else 0
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if SECURE_SSL_REDIRECT else None
X_FRAME_OPTIONS = "DENY"
DATA_UPLOAD_MAX_MEMORY_SIZE = 1_048_576

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "common.api.authentication.TokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_PARSER_CLASSES": ["common.api.parsers.StrictJSONParser"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PAGINATION_CLASS": "common.api.pagination.NewestFirst",
    "DEFAULT_SCHEMA_CLASS": "common.api.schema.ProblemAwareSchema",
    "EXCEPTION_HANDLER": "config.problems.problem_response",
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}
REST_KNOX = {"TOKEN_TTL": timedelta(days=30), "AUTH_HEADER_PREFIX": "Bearer"}
SPECTACULAR_SETTINGS = {
    "TITLE": "Dorfbote API",
    "DESCRIPTION": "Orders, pools, plans, runs and village lockers of a rural district.",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SCHEMA_PATH_PREFIX": "/api/v1/",
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "ENUM_NAME_OVERRIDES": {
        "ParcelState": "logistics.states.ParcelState",
        "PoolState": "logistics.states.PoolState",
        "PlanState": "logistics.states.PlanState",
        "RunState": "logistics.states.RunState",
        "StopState": "logistics.states.StopState",
        "CompartmentState": "lockers.states.CompartmentState",
        "DoorState": "lockers.states.DoorState",
        "DeviceProfile": "lockers.states.Profile",
        "OpenCommandState": "lockers.states.CommandState",
        "CodeState": "lockers.states.CodeState",
        "StopKind": "logistics.models.StopKind",
        "ReportKind": "logistics.models.ReportKind",
    },
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
}

#: Seconds that the solver gets for the plan that the cut-off asks for.
PLAN_BUDGET_S = env.float("PLAN_BUDGET_S", default=30.0)
#: A plan of twice as many orders is made in territories of at least so many; workers that plan them at the
#: same time, on all machines.
PLAN_TERRITORY_ORDERS = env.int("PLAN_TERRITORY_ORDERS", default=2_500)
PLAN_WORKERS = env.int("PLAN_WORKERS", default=2)

#: Where metres and seconds come from: geodesic, network:FILE.osm.pbf or osrm:URL.
TRAVEL_URL = env.str("TRAVEL_URL", default="geodesic")

REDIS_URL = env.str("REDIS_URL", default="redis://127.0.0.1:6379/0")

#: Demo only: a file that says how business time runs; see common.clock.
CLOCK_FILE = env.str("CLOCK_FILE", default="")
#: Seconds of real time between two sweeps for what is due.
SWEEP_INTERVAL_S = env.float("SWEEP_INTERVAL_S", default=10.0)

#: Days after which what doors did, and codes that are dead, are deleted.
KEEP_DOOR_FACTS_DAYS = env.int("KEEP_DOOR_FACTS_DAYS", default=30)

#: Ed25519 seed (base64) with which the server signs what it tells a locker.
LOCKER_SIGNING_KEY = env.str("LOCKER_SIGNING_KEY")
#: Public keys (base64) that devices obey as well: the next one before it signs, the last one after.
LOCKER_KNOWN_KEYS = env.list("LOCKER_KNOWN_KEYS", default=[])
#: Where the broker of the lockers answers, with our account; empty: lockers speak HTTPS only.
MQTT_URL = env.str("MQTT_URL", default="")
#: Certificate of the authority that signed the broker's; empty: the system's are trusted.
MQTT_CA_FILE = env.str("MQTT_CA_FILE", default="")
#: Where devices are told that the broker answers, if not at MQTT_URL.
MQTT_DEVICE_URL = env.str("MQTT_DEVICE_URL", default="")
#: Key (base64, 32 bytes) from which the passwords of the devices at the broker follow.
LOCKER_MQTT_KEY = env.str("LOCKER_MQTT_KEY", default="")
#: Whether lockers with an unmodified Open-Locker client may be brought in, one by one.
BASIC_DEVICES = env.bool("BASIC_DEVICES", default=False)
#: Key (base64, 32 bytes) for the look-up digests of locker codes.
LOCKER_CODE_PEPPER = env.str("LOCKER_CODE_PEPPER")
#: Key (base64, 32 bytes) from which QR tokens and the keys of the lockers' lists of codes follow.
LOCKER_TOKEN_KEY = env.str("LOCKER_TOKEN_KEY")
#: Fernet keys (newest first) under which locker codes are kept for printing them again.
LOCKER_CODE_KEYS = env.list("LOCKER_CODE_KEYS")

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"plain": {"format": "{asctime} {levelname} {name} {message}", "style": "{"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "plain"}},
    "root": {"handlers": ["console"], "level": env.str("LOG_LEVEL", default="INFO")},
}
