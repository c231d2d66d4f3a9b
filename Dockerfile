FROM python:3.13-slim
WORKDIR /app
ENV PYTHONUNBUFFERED=1
COPY requirements.txt .
RUN pip install --no-cache-dir --require-hashes --requirement requirements.txt
COPY . .
RUN useradd --create-home finops && mkdir /data && chown finops /data
USER finops
CMD ["gunicorn", "finops.wsgi", "--bind", "0.0.0.0:8000"]
