{# One row for each combination of these columns, and none of them is ever null. #}
{% test grain(model, columns) %}

select {{ columns | join(', ') }}
from {{ model }}
group by {{ columns | join(', ') }}
having count(*) > 1
  {%- for column in columns %}
  or {{ column }} is null
  {%- endfor %}

{% endtest %}
